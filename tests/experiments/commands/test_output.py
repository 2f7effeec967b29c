"""Output that cannot be written, by real pipes, devices and terminals, ends no program."""

import fcntl
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from experiments.commands import output

ROOT = Path(__file__).parents[3]

# Prints by every way that the commands have, more than a pipe holds, and then saves.
PROGRAM = textwrap.dedent(
    """
    import dataclasses, os, sys
    from experiments.commands import command

    @dataclasses.dataclass(frozen=True)
    class Options:
        '''Counts.'''

        lines: int = 300
        '''Of output.'''

        def __post_init__(self):
            command.require(self.lines > 0, "lines", self.lines, "must be 1 or more")

    def count(options):
        from rich.console import Console
        from rich.progress import Progress

        console = Console()
        with Progress(console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("counting", total=options.lines)
            for line in range(options.lines):
                print(f"line {line} {'-' * 400}", flush=True)
                print(f"line {line}", file=sys.stderr)
                progress.update(task, advance=1)
        console.print("[bold]counted[/]")
        with open("saved", "w") as file:
            assert file.fileno() > 2  # no number that others print to
            file.write("whole")

    sys.exit(command.run("count", {"count": (Options, count)}))
    """
)


@pytest.mark.parametrize(
    ("terminal", "told"), [(True, "two  words\n/a-path/too-long-for-it\n"), (False, None)]
)
def test_a_terminal_breaks_lines_between_words(terminal, told, capsys, monkeypatch):
    line = "two  words /a-path/too-long-for-it"
    monkeypatch.setattr(output.sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setenv("COLUMNS", "12")
    output.say(line)
    assert capsys.readouterr().out == (told or f"{line}\n")


@pytest.fixture
def start(tmp_path):
    """Starts the program: its command line, what a shell redirects, and other options."""
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    (tmp_path / "count.py").write_text(PROGRAM)

    def start(*arguments, redirected="", **options):
        command = [sys.executable, "-W", "error", "count.py", *arguments]
        if redirected:
            command = ["sh", "-c", f'exec "$@" {redirected}', "sh", *command]
        return subprocess.Popen(command, cwd=tmp_path, **options)

    return start


def test_a_reader_that_goes_away(start, tmp_path):
    """The program goes on to its end, and says nothing of it."""
    program = start(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdout.readline().startswith(b"line 0")
    program.stdout.close()
    assert program.stderr.readline() == b"line 0\n"
    program.stderr.close()
    assert program.wait(60) == 0
    assert (tmp_path / "saved").read_text() == "whole"


def test_a_full_device(start, tmp_path):
    with open("/dev/full", "w") as full:
        program = start("--lines", "2", stdout=full, stderr=subprocess.PIPE, text=True)
        *others, last = program.communicate(timeout=60)[1].splitlines()
    assert others == ["line 0", "line 1"] and program.returncode == 2
    assert last == (
        "error: standard output cannot be written (No space left on device); all but that was done"
    )
    assert (tmp_path / "saved").read_text() == "whole"


def test_errors_that_cannot_be_written(start, tmp_path):
    with open("/dev/full", "w") as full:
        program = start("--lines", "2", stdout=subprocess.PIPE, stderr=full, text=True)
        assert program.communicate(timeout=60)[0].endswith("counted\n")
        assert program.returncode == 0
        assert start("--lines", "0", stderr=full).wait(60) == 2


@pytest.mark.parametrize("redirected", [">&-", "<&- >&- 2>&-"])
def test_descriptors_that_are_closed(start, tmp_path, redirected):
    assert start("--lines", "2", redirected=redirected).wait(60) == 0
    assert (tmp_path / "saved").read_text() == "whole"


def test_help_that_nobody_reads(start):
    reading, writing = os.pipe()
    os.close(reading)
    program = start("--help", stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert program.communicate(timeout=60)[1] == b"" and program.returncode == 0


def test_a_terminal_that_hangs_up(start, tmp_path):
    """While the bar moves."""
    terminal, there = os.openpty()
    program = start(stdout=there, stderr=there)
    os.close(there)
    assert os.read(terminal, 1)
    os.close(terminal)
    assert program.wait(60) == 0
    assert (tmp_path / "saved").read_text() == "whole"


def test_a_pipe_that_does_not_wait_for_its_reader(start):
    """Nothing is lost: the program waits."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    program = start(stdout=writing, stderr=subprocess.DEVNULL)
    os.close(writing)
    with open(reading) as output:
        lines = output.read().splitlines()
    assert program.wait(60) == 0
    assert len(lines) == 301 and lines[-1] == "counted"
