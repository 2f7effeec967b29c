"""The command line of an experiment: typed options in, one clear message out when one is wrong.

Imports only the standard library, so that it can report that anything else is missing.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.commands import output


class UserError(Exception):
    """Something that the user can mend; the message says what it is and what to do about it."""

    code = 2
    """Exit code of the program."""


class NotFinite(UserError):
    """A training that became NaN or infinite."""

    code = 3


class Stuck(UserError):
    """A thread that waits for what does not come, and would keep the program from ending."""


def fail(message: str, code: int = UserError.code) -> SystemExit:
    """Prints `message` to stderr and returns the exit for the caller to raise."""
    with output.lasting():
        print(f"error: {printable(message)}", file=sys.stderr)
    return SystemExit(code)


def printable(text: str) -> str:
    """One line for a terminal: what would end it, colour it or has no code is spelt out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def require(holds: bool, option: str, value: object, rule: str) -> None:
    """Raises `UserError` unless `holds`.

    Args:
      holds: whether the value is good.
      option: name of the dataclass field.
      value: what was received.
      rule: what must hold, and the fix where the rule does not say it.
    """
    if not holds:
        raise UserError(f"--{option.replace('_', '-')} (={value}) {rule}")


def reserve(path: Path) -> None:
    """Creates an empty file, so that one that cannot be written is known before the work begins.

    Raises:
      UserError: it cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; name another file") from None


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Wraps imports: a missing package becomes one message that names the extra to install.

    >>> with extra("experiments"):
    ...     import json
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or str(error)).partition(".")[0]
        raise fail(
            f"the package `{package}` is not installed; get it with: pip install 'jaxcnn[{name}]'"
        ) from None


def run(
    program: str,
    commands: Mapping[str, tuple[type, Callable[[Any], int | None]]],
    arguments: Sequence[str] | None = None,
) -> int:
    """Parses the command line into a dataclass and calls the function that goes with it.

    Args:
      program: what the user types, for the help text.
      commands: name -> (options dataclass, function of its instance). The first is the default: its
        name may be left out. Where the dataclass has a method `defaults`, its instance's defaults
        take the place of the class's, unless they are None.
      arguments: the command line without the program; `sys.argv[1:]` when None.
    Returns:
      The exit code: what the function returns (None counts as 0), that of a `UserError` (2, or 3
      after a training that became NaN or infinite), 130 after Ctrl-C.

    Nothing ends because its output cannot be written. Where the reader of a pipe went away that is
    all; on a full disk a line on stderr says so in the end, and the code is 2 in place of 0.
    """
    with output.lasting() as lost:
        try:
            code = _run(program, commands, arguments)
        except SystemExit as left:  # --help ends so
            if left.code or not lost():
                raise
            code = 0
        if not code and (reason := lost()):
            raise fail(f"standard output cannot be written ({reason}); all but that was done")
        return code


def _run(
    program: str,
    commands: Mapping[str, tuple[type, Callable[[Any], int | None]]],
    arguments: Sequence[str] | None,
) -> int:
    """`run`, of a program whose output lasts."""
    import tyro

    logging.getLogger("absl").setLevel(logging.CRITICAL)  # what TFDS and Orbax log, we say
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    name = next(iter(commands))
    if arguments and arguments[0] in commands:
        name, *arguments = arguments
        program = f"{program} {name}"
    options, function = commands[name]
    try:
        given = tyro.cli(options, prog=program, args=arguments)
        if hasattr(given, "defaults") and (defaults := given.defaults()) is not None:
            given = tyro.cli(options, prog=program, args=arguments, default=defaults)
        return function(given) or 0
    except Stuck as error:
        fail(str(error))
        sys.stdout.flush()
        os._exit(error.code)
    except UserError as error:
        raise fail(str(error), error.code) from None
    except KeyboardInterrupt:
        return 130
