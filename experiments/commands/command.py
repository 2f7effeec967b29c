"""The command line of an experiment: typed options in, one clear message out when one is wrong.

Imports only the standard library, so that it can report that anything else is missing.
"""

import dataclasses
import difflib
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from experiments.commands import cache, output, phases, stopping
from experiments.commands.helptext import join_lines

_ANSWERS = ("predict", "readme")  # commands whose lines are for other programs
_QUIET = "--quiet"


class UserError(Exception):
    """Something that the user can mend; the message says what it is and what to do about it."""

    code = 2
    """Exit code of the program."""


class NotFinite(UserError):
    """A training that became NaN or infinite."""

    code = 3


class Stuck(UserError):
    """A thread that waits for what does not come, and would keep the program from ending."""


def begin() -> None:
    """What `python -m experiments.NAME` does before its imports, but for workers."""
    place = next(i for i, word in enumerate(sys.orig_argv) if word.startswith("-m"))
    module, *arguments = [sys.orig_argv[place][2:], *sys.orig_argv[place + 1 :]]
    if not module:
        module, *arguments = arguments
    if not module.endswith("worker"):
        told = {"-h", "--help", "--list", *_ANSWERS}.isdisjoint(arguments)
        phases.start(quiet=_QUIET in arguments, pipes=told)


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


def require_known(option: str, value: str, known: Iterable[str], of: str = "") -> None:
    """Raises `UserError` that lists what is known, the nearest first, unless `value` is.

    Args:
      option: name of the dataclass field.
      value: what was received.
      known: all that may be received.
      of: what for, in the message.
    """
    known = list(known)
    rule = f"is unknown{nearest(value, known)}; it must be one of {', '.join(known)}"
    require(value in known, option, value, f"{rule} for {of}" if of else rule)


def nearest(name: str, known: Iterable[str]) -> str:
    """What a mistyped name may have been, to follow in a sentence; empty where nothing is near."""
    lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), lower, n=3)
    *others, last = [lower[each] for each in near] or [""]
    listed = f"{', '.join(others)} or {last}" if others else last
    return f", perhaps {listed}" if near else ""


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
def extra(name: str, *later: str) -> Iterator[None]:
    """Wraps imports: a missing package becomes one message with the command that installs it.

    Args:
      name: of the extra.
      *later: packages that are imported where they are used, but looked for now.

    >>> with extra("experiments"):
    ...     import json
    """
    collects = gc.isenabled()
    gc.disable()  # for garbage, of which modules leave none: a tenth of the time
    try:
        for package in later:
            if find_spec(package) is None:
                raise ModuleNotFoundError(name=package)
        yield
    except ModuleNotFoundError as error:
        package = (error.name or str(error)).partition(".")[0]
        raise fail(
            f"the package `{package}` is not installed; get it with: {install(name)}"
        ) from None
    finally:
        if collects:
            gc.enable()


def install(name: str) -> str:
    """The command that installs an extra of the clone that this file is in, typed from here."""
    clone = Path(__file__).parents[2]
    here = os.path.exists("pyproject.toml") and os.path.samefile(os.curdir, clone)
    return f"pip install -e '{'.' if here else clone}[{name}]'"


def run(
    program: str,
    commands: Mapping[str, tuple[type, Callable[[Any], int | None]]],
    arguments: Sequence[str] | None = None,
    *,
    took: str | Mapping[str, str] = "",
    cached: bool = True,
) -> int:
    """Parses the command line into a dataclass and calls the function that goes with it.

    Args:
      program: what the user types, for the help text.
      commands: name -> (options dataclass, function of its instance). The first is the default: its
        name may be left out. Where the dataclass has a method `defaults`, its instance's defaults
        take the place of the class's, unless they are None.
      arguments: the command line without the program; `sys.argv[1:]` when None.
      took: how long the first command took where it was measured, or each command by its name. With
        it, a command begins with a line of what it will do, the first sentence of its options'
        docstring, and this; `predict` and `readme`, whose lines are for programs, in a terminal.
        Where the dataclass has a method `begins`, it gives both for these options: what they do,
        and how long that took, empty where it was not measured.
      cached: whether what XLA compiles is kept for the next time; not where compiling is measured.
    Returns:
      The exit code: what the function returns (None counts as 0), that of a `UserError` (2, or 3
      after a training that became NaN or infinite), 130 after Ctrl-C.

    Nothing ends because its output cannot be written. Where the reader of a pipe went away that is
    all; on a full disk a line on stderr says so in the end, and the code is 2 in place of 0.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    name = next(iter(commands))
    each = {name: took} if isinstance(took, str) else took
    if arguments and arguments[0] in commands:
        name, *arguments = arguments
        program = f"{program} {name}"
    elif arguments and len(commands) > 1 and not arguments[0].startswith("-"):
        known, near = ", ".join(commands), nearest(arguments[0], commands)
        raise fail(f"{arguments[0]!r} is no command of {program}{near}; it has {known}")
    told = name not in _ANSWERS and "--list" not in arguments
    with phases.command(pipes=told), output.lasting() as lost:
        try:
            options, function = commands[name]
            options = _shown(options, [other for other in commands if other != name])
            code = _run(program, options, function, arguments, each.get(name, ""), cached)
            phases.conclude()
        except SystemExit as left:  # --help ends so
            if left.code or not lost():
                if isinstance(left.code, int):
                    stopping.leave_with(left.code)
                raise
            code = 0
        if not code and (reason := lost()):
            raise fail(f"standard output cannot be written ({reason}); all but that was done")
        stopping.leave_with(code)
        return code


def _run(
    program: str,
    options: type,
    function: Callable[[Any], int | None],
    arguments: Sequence[str],
    took: str,
    cached: bool,
) -> int:
    """`run`, of a program whose output lasts."""
    import tyro

    logging.getLogger("absl").setLevel(logging.CRITICAL)  # what TFDS and Orbax log, we say
    if not {"-h", "--help"}.isdisjoint(arguments):
        join_lines(options)
    try:
        given = tyro.cli(options, prog=program, args=arguments)
        if hasattr(given, "defaults") and (defaults := given.defaults()) is not None:
            defaults = dataclasses.replace(defaults, quiet=False)  # or the flag would be another
            given = tyro.cli(options, prog=program, args=arguments, default=defaults)
        gc.set_threshold(100_000, 20, 20)  # tracing makes many objects, and next to no garbage
        if given.quiet:
            phases.be_quiet()
        elif not getattr(given, "list", False) and phases.heard() and _is_first():
            _say_what(given, took)
        if cached:
            cache.turn_on()
        return function(given) or 0
    except Stuck as error:
        fail(str(error))
        sys.stdout.flush()
        os._exit(error.code)
    except UserError as error:
        raise fail(str(error), error.code) from None
    except KeyboardInterrupt:
        return 130


def _say_what(given: Any, took: str) -> None:
    """The first line: what is done, and how long that took where it was measured."""
    what = " ".join((given.__doc__ or "").split()).partition(". ")[0].removesuffix(".")
    if hasattr(given, "begins"):
        what, took = given.begins()
    elif not took:
        return
    output.say(f"{what}; on two cores of an AMD EPYC this took {took}" if took else what)


def _shown(options: type, others: Sequence[str]) -> type:
    """The dataclass with the option that every command has; its help names the `others`."""
    from tyro import conf

    told = conf.arg(help="Prints what was found, and nothing of how it goes.")
    quiet = Annotated[bool, told, conf.FlagCreatePairsOff]
    beside = f"\n\nOther commands, each with its own --help: {', '.join(others)}."
    text = f"{options.__doc__}{beside if others else ''}"
    space = {"__doc__": text, "__module__": options.__module__}
    field = ("quiet", quiet, dataclasses.field(default=False))
    return dataclasses.make_dataclass(
        options.__name__, [field], bases=(options,), frozen=True, namespace=space
    )


def _is_first() -> bool:
    """Whether no launcher says that another process is the first; asked before they are joined."""
    ranks = ("SLURM_PROCID", "OMPI_COMM_WORLD_RANK")
    return all(os.environ.get(rank, "0") == "0" for rank in ranks)
