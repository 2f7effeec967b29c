"""Each file is a script, run as `python -m experiments.<name>`; the packages hold what they share."""
