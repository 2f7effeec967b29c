"""Signals end a program at once, with one line, whatever its main thread is at."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from experiments.commands.stopping import Noted

BEGIN = """
import hashlib, os, signal, sys, time
from experiments.commands import stopping
stopping.install()
stopping.tell(doing="computing", advice="go on")
print("begun", flush=True)
"""
# A call that no signal interrupts, and during which Python calls no handler.
COMPUTE = "hashlib.pbkdf2_hmac('sha256', b'', b'', 500_000_000)\n"
WAIT = "time.sleep(60)\n"
UNDOES = """
with stopping.undoing(lambda: print("first made")), stopping.undoing(lambda: 1 / 0):
    with stopping.undoing(lambda: print("last made", flush=True)):
        time.sleep(60)
"""
HANGS = """
with stopping.undoing(lambda: (print("undoing", flush=True), time.sleep(60))):
    time.sleep(60)
"""
NOTES = """
with stopping.Noted(lambda: print("noted", flush=True)) as noted:
    print("ready", flush=True)
    while noted.signal is None:
        time.sleep(0.01)
    if len(sys.argv) > 1:
        time.sleep(60)
sys.exit(noted.code)
"""
FOLDER = """
with stopping.temporary_folder() as folder:
    (folder / "half").write_text("")
    print(folder, flush=True)
    time.sleep(60)
"""


def stopped(program, *numbers, arguments=(), before=0):
    """Sends the signals, each after a line was printed; the exit code, the lines, and errors.

    So many lines come `before`.
    """
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", BEGIN + textwrap.dedent(program), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        begun, lines = time.monotonic(), [process.stdout.readline().strip() for _ in range(before)]
        for number in numbers:
            lines.append(process.stdout.readline().strip())
            time.sleep(0.2)
            process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
        assert time.monotonic() - begun < 30
        return process.returncode, [*lines, *rest.split("\n")[:-1]], errors


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
@pytest.mark.parametrize("program", [WAIT, COMPUTE], ids=["waiting", "computing"])
def test_one_line_and_a_code(program, number, code):
    expected = (code, ["begun"], "stopped while computing; go on\n")
    assert stopped(program, number) == expected


def test_what_is_half_done_is_undone_the_last_first():
    code, lines, errors = stopped(UNDOES, signal.SIGINT)
    assert (code, lines) == (130, ["begun", "last made", "first made"])
    assert errors == "stopped while computing; go on\n"


def test_a_folder_goes():
    code, lines, _ = stopped("time.sleep(0.01)" + FOLDER, signal.SIGTERM)
    assert code == 143 and not os.path.exists(lines[-1])


def test_once_more_ends_it_at_once():
    code, lines, errors = stopped(HANGS, signal.SIGINT, signal.SIGINT)
    assert (code, lines, errors) == (130, ["begun", "undoing"], "stopped while computing; go on\n")


def test_the_first_may_be_noted_alone():
    code, lines, errors = stopped(NOTES, signal.SIGTERM, before=1)
    assert (code, errors, lines[:2]) == (0, "", ["begun", "ready"])
    assert "".join(lines[2:]) in ("noted", 2 * "noted")  # of two threads, perhaps in one line
    code, lines, errors = stopped(NOTES, *2 * [signal.SIGINT], arguments=["on"], before=1)
    assert (code, errors) == (130, "stopped while computing; go on\n")


def test_what_whoever_started_it_ignores_is_ignored():
    ignoring = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    program = f"{ignoring}\n{BEGIN}\nos.kill(os.getpid(), signal.SIGINT); print('goes on')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "begun\ngoes on\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_handlers_come_back(number, code):
    before = signal.getsignal(number)
    with Noted() as noted:
        assert noted.signal is None
        os.kill(os.getpid(), number)
        assert (noted.signal, noted.code) == (number, code)
    assert signal.getsignal(number) == before
