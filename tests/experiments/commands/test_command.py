"""The command line: options in, exit codes and messages out."""

import dataclasses
from typing import Annotated

import pytest
import tyro

from experiments.commands import command
from experiments.commands.command import UserError, extra, require


@dataclasses.dataclass(frozen=True)
class Options:
    """Says what it was told."""

    size: int = 3
    """Of the thing, in pixels."""

    def __post_init__(self):
        require(self.size > 0, "size", self.size, "must be 1 or more pixels")


@dataclasses.dataclass(frozen=True)
class Other:
    """Does something else."""

    code: int = 0
    """Exit code."""


def stop(options):
    raise KeyboardInterrupt


COMMANDS = {
    "say": (Options, lambda options: print(options.size)),
    "leave": (Other, lambda options: options.code),
    "stop": (Other, stop),
}


@pytest.mark.parametrize(
    ("arguments", "code", "output"),
    [
        ([], 0, "3\n"),
        (["--size", "4"], 0, "4\n"),
        (["say", "--size", "4"], 0, "4\n"),
        (["leave", "--code", "7"], 7, ""),
        (["stop"], 130, ""),
    ],
)
def test_commands(arguments, code, output, capsys):
    assert command.run("program", COMMANDS, arguments) == code
    assert capsys.readouterr().out == output


@dataclasses.dataclass(frozen=True)
class Long:
    """Measures what takes
    long. It has an end."""


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ([], "Measures what takes long; on two cores of an AMD EPYC this took 5 s\n"),
        (["--quiet"], ""),
        (["find"], "Measures what takes long; on two cores of an AMD EPYC this took 9 s\n"),
        (["predict"], ""),  # a program reads it
    ],
)
def test_the_first_line_says_what_it_will_do(arguments, output, capsys):
    commands = dict.fromkeys(("long", "find", "predict"), (Long, lambda options: None))
    took = {"long": "5 s", "find": "9 s", "predict": "1 s"}
    assert command.run("program", commands, arguments, took=took) == 0
    assert capsys.readouterr().out == output


@dataclasses.dataclass(frozen=True)
class Ways:
    """Measures."""

    compile: bool = False
    """Compiles."""

    def begins(self):
        return ("Compiles", "") if self.compile else ("Measures", "5 s")


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ([], "Measures; on two cores of an AMD EPYC this took 5 s\n"),
        (["--compile"], "Compiles\n"),
        (["--quiet"], ""),
    ],
)
def test_the_first_line_is_of_the_way_that_is_gone(arguments, output, capsys):
    assert command.run("program", {"way": (Ways, lambda options: None)}, arguments) == 0
    assert capsys.readouterr().out == output


@dataclasses.dataclass(frozen=True)
class Inner:
    """Of its own."""

    depth: int = 2
    """Of the thing, in
    `pixels`."""


@dataclasses.dataclass(frozen=True)
class Outer(Options):
    """Holds others."""

    inner: Inner = Inner()
    width: Annotated[int, tyro.conf.arg(help="As given.")] = 3
    """As
    --written."""


def test_help_joins_the_lines_of_docstrings(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        command.run("program", {"outer": (Outer, lambda options: None)}, ["--help"])
    output = capsys.readouterr().out
    assert "Of the thing, in `pixels`. (default: 2)" in output
    assert "Of the thing, in pixels. (default: 3)" in output and "As given. (default: 3)" in output


def test_help_names_the_other_commands(capsys):
    with pytest.raises(SystemExit):
        command.run("program", COMMANDS, ["leave", "--help"])
    assert "Other commands, each with its own --help: say, stop." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "begun"),
    [("experiments.train", True), ("experiments.benchmark.calls", True),
     ("experiments.compile.worker", False), ("experiments.device.exact_worker", False)],
)  # fmt: skip
def test_all_but_workers_say_that_they_import(name, begun, monkeypatch):
    said = []
    monkeypatch.setattr(command.phases, "start", lambda **options: said.append(options))
    monkeypatch.setattr(command.sys, "orig_argv", ["python", "-m", name])
    command.begin()
    assert bool(said) is begun


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "0"], "error: --size (=0) must be 1 or more pixels\n"),
        (["--size", "x"], "--size"),
        (["--unknown", "1"], "--unknown"),
    ],
)
def test_bad_values_exit_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit:
        command.run("program", COMMANDS, arguments)
    assert exit.value.code == 2
    assert message in capsys.readouterr().err


def test_help_explains_each_option(capsys):
    with pytest.raises(SystemExit) as exit:
        command.run("python -m program", COMMANDS, ["--help"])
    assert exit.value.code == 0
    output = capsys.readouterr().out
    assert (
        "usage: python -m program" in output and "Of the thing, in pixels. (default: 3)" in output
    )


def test_missing_package_names_the_extra(capsys):
    with pytest.raises(SystemExit) as exit, extra("experiments"):
        import no_such_package.part  # noqa: F401
    assert exit.value.code == 2
    message = capsys.readouterr().err
    assert "`no_such_package` is not installed" in message
    assert "pip install -e '.[experiments]'" in message


def test_a_package_that_is_used_later_is_missed_at_once(capsys):
    with pytest.raises(SystemExit), extra("experiments", "json", "no_such_package"):
        pytest.fail("the imports began")
    assert "`no_such_package` is not installed" in capsys.readouterr().err


def test_extra_lets_other_errors_through():
    with pytest.raises(UserError), extra("experiments"):
        raise UserError("something else")
