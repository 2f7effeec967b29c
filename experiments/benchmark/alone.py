"""A program in a process of its own, which prints as its last line what seconds it took."""

import os
import subprocess
import sys

from experiments.commands.command import UserError


def seconds(script: str, *arguments: str, **environment: str) -> list[float]:
    """The numbers that the program printed; it finds no compile cache but one that is given here.

    Args:
      script: in Python.
      *arguments: its `sys.argv[1:]`.
      **environment: variables beside those of this process.
    Raises:
      UserError: it printed no numbers, and how it ended.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("JAX_COMPILATION_CACHE")}
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{script}", *arguments],
        env={**kept, **environment}, capture_output=True, text=True,
    )  # fmt: skip
    try:
        return [float(number) for number in done.stdout.split("\n")[-2].split()]
    except (IndexError, ValueError):
        raise UserError(f"a program ended with {done.returncode}: {done.stderr[-500:]}") from None
