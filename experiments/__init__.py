"""Each file is a script, `python -m experiments.<name>`; the packages hold what they share."""
