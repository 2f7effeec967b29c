"""Failures of tensorstore, which writes Orbax's checkpoints: what they say, and what they leave."""

import contextlib
import gc
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from experiments.commands.command import printable


@contextlib.contextmanager
def as_os_error() -> Iterator[None]:
    """Raises an OSError where tensorstore raises a ValueError that tells of one: a full disk."""
    try:
        yield
    except ValueError as error:
        if code := re.search(r"os_error_code='?(\d+)", str(error)):
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from error
        raise OSError(reason(error)) from error


def settle(folder: Path) -> None:
    """Waits until a save that failed has stopped writing into its temporary folder.

    One file that cannot be written fails the save, while tensorstore's threads go on with the
    others. They would get in the way of a run of the same process that clears the folder.
    """
    before = None
    for _ in range(100):
        parts = folder.glob("*.orbax-checkpoint-tmp")
        now = sorted((root, *sorted(names)) for part in parts for root, _, names in os.walk(part))
        if now in ([], before):
            return
        before = now
        time.sleep(0.1)


def but_for_closed_loops(hook: Callable) -> Callable:
    """A hook for `sys.unraisablehook` that passes over what a save that failed leaves behind.

    Nobody waits any more for the files that were written at the same time; each of them would print
    a traceback, some of them when the program ends.
    """

    def told(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    return told


@contextlib.contextmanager
def no_unraisable_noise() -> Iterator[None]:
    """Keeps Python from printing tracebacks of coroutines that were left behind.

    A restore that failed leaves some, and so does a save of a run that the same process resumes.
    """
    hook = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: None
    try:
        yield
    finally:
        gc.collect()
        sys.unraisablehook = hook


def reason(error: Exception) -> str:
    """The first sentence; tensorstore goes on with the whole state of its drivers."""
    first = str(error).strip().partition("\n")[0].partition(". ")[0]
    return printable(first) or type(error).__name__
