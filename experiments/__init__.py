"""Each file is a script, run as `python -m experiments.<name>`; packages hold what they share."""
