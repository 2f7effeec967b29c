"""Experiments: each file is a script, run as `python -m experiments.<name>`."""
