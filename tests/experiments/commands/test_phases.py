"""What is said of a command while it runs, and the account of its time."""

import os
import re
import subprocess
import sys
import time

import pytest

from experiments.commands import phases
from experiments.commands.account import ALL, REST, record, table
from experiments.commands.phases import phase


@pytest.fixture
def said(monkeypatch):
    """The lines that a pipe gets, of a clock in which four seconds are a tenth of that."""
    lines = []
    monkeypatch.setattr(phases, "_say", lines.append)
    monkeypatch.setattr(phases, "_EVERY", 0.4)
    monkeypatch.setattr(phases, "_terminal", lambda: False)
    return lines


def test_a_pipe_hears_of_phases_as_they_begin_and_of_what_lasts(said):
    with phases.command():
        with phase("data", "reading"):
            assert said == ["reading"]
        with phase("test", "testing", total=4) as shown, phase("saving", "saving"):
            shown.move(1, "1 of 4 is tested")
            while len(said) < 4:  # tells it again and again
                time.sleep(0.01)
        count = len(said)
        with phase("compile", "for a moment", brief=True):
            assert len(said) == count
    assert said[:2] == ["reading", "testing"]
    assert all(re.fullmatch(r"1 of 4 is tested  \d:\d\d left", line) for line in said[2:])


def test_brief_phases_are_not_silent_together(said):
    with phases.command():
        begun = time.monotonic()
        while not said and time.monotonic() < begun + 20:
            with phase("data", "a moment", brief=True):
                time.sleep(0.3)
    assert said and said[0].startswith("a moment, ")


def test_a_phase_leaves_a_line_now_and_then_and_its_last_one(said):
    with phases.command(), phase("training", "training", total=3) as shown:
        for epoch in (1, 2, 3):
            shown.move(epoch, f"epoch {epoch}")
            shown.leave(last=epoch == 3)
    assert [line.partition("  ")[0] for line in said] == ["training", "epoch 1", "epoch 3"]


@pytest.mark.parametrize(("width", "told"), [(20, "epoch 3/3  loss 0.25"), (15, "3/3")])
def test_the_last_line_fits_into_a_terminal(width, told, said, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    with phases.command(), phase("training", "training", total=3) as shown:
        shown.move(3, "epoch 3/3  loss 0.25", "3/3")
        monkeypatch.setattr(phases, "_terminal", lambda: True)
        shown.leave(last=True)
    assert said == ["training", told]


def test_nothing_is_said_outside_of_a_command_or_where_it_is_to_be_quiet(said):
    with phase("data", "reading"):
        pass
    with phases.command():
        phases.be_quiet()
        with phase("data", "reading") as shown:
            shown.leave(last=True)
        phases.conclude()
    with phases.command(pipes=False), phase("data", "reading"):
        pass
    assert said == []


def test_all_of_the_time_is_charged_to_somebody(said):
    with phases.command():
        begun = time.perf_counter()
        with phase("training", "training"):
            time.sleep(0.03)
            with phase("test", "testing"):
                time.sleep(0.05)
            time.sleep(0.03)
        spent = phases.spent()
        took = time.perf_counter() - begun
        phases.conclude()
    assert 0.05 <= spent["training"][0] and 0.04 <= spent["test"][0]
    assert list(spent) == ["training", "test", REST, ALL]
    for kind in record(spent).values():
        assert sum(kind.values()) == pytest.approx(2 * kind[ALL], abs=0.003)
    assert spent[ALL][0] == pytest.approx(took, abs=0.02)
    assert [line.split()[0] for line in said[-3:]] == ["s", "clock", "CPU"]


def test_the_process_began_before_its_imports():
    program = (
        "import time; time.sleep(0.3); from experiments.commands.account import Account; "
        "print(*Account('import', from_the_start=True).spent()['import'])"
    )
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    clock, cpu = map(float, told.split())
    assert cpu > 0.01
    assert clock > 0.3 or sys.platform != "linux"


def test_what_a_shell_did_before_it_became_the_process_is_not_its_own(tmp_path):
    tells = tmp_path / "tells.py"
    tells.write_text(
        "from experiments.commands.account import Account\n"
        "print(*Account(from_the_start=True).spent()['all'])"
    )
    program = (
        "import os, subprocess, sys; "
        "subprocess.run([sys.executable, '-c', 'sum(range(6 * 10**7))']); "
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(tells)],
        capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ).stdout  # fmt: skip
    clock, cpu = map(float, told.split())
    assert 0 < cpu < 0.4 and clock < 1  # the child computed for longer


@pytest.mark.parametrize("width", [30, 80, 100])
def test_the_table_fits(width):
    names = "import data build compile training test saving pictures".split()
    spent = {name: (12.34, 1.04) for name in (*names, REST)} | {ALL: (111.1, 9.4)}
    lines = table(spent, width)
    assert max(map(len, lines)) <= width
    heads = [word for line in lines[0::3] for word in line.split()[1:]]
    clocks = [word for line in lines[1::3] for word in line.split()[1:]]
    assert heads == [*spent] and clocks == ["12.3"] * 9 + ["111.1"]


@pytest.mark.parametrize(("seconds", "told"), [(7, "0:07"), (720, "12:00"), (3723, "1:02:03")])
def test_minutes_and_seconds(seconds, told):
    assert phases.clock(seconds) == told
