"""Each file is a script, `python -m experiments.<name>`; the packages hold what they share."""

import sys

if sys.argv[:1] == ["-m"]:  # such a script is being started, and nothing is imported yet
    from experiments.commands import stopping

    stopping.install()

    from experiments.commands import command

    command.begin()
