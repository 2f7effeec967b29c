"""What is said of an epoch, and what a terminal of 60, 80 and more columns shows of it."""

import pytest
from rich.console import Console

from experiments.commands import phases
from experiments.commands.live import Line
from experiments.commands.phases import Phase
from experiments.training import progress

MEASURED = {"train_loss": 0.25, "test_accuracy": 0.975, "images_per_second": 12345.6}


def shown(width, **more):
    """The line of a terminal after 12 of 30 epochs, in the middle of the next."""
    this = Phase("training", 30, 10)
    this.move(12, *progress.figures(12, 30, MEASURED | more))
    this.begun -= 64
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(Line(lambda: this, console))
    return captured.get().rstrip("\n")


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (60, "12/30  loss 0.25  acc 97.5%  12,346/s"),
        (80, "epoch 12/30  loss 0.250  acc 97.5%  12,346 img/s"),
        (120, "epoch 12/30  loss 0.2500  test accuracy 97.50%  12,346 images/s"),
    ],
)
def test_terminal_shows_the_figures(width, told):
    line = shown(width)
    assert told in line and line.rstrip().endswith("9:36 left")
    assert len(line) <= width - 2  # room for ^C
    assert ("━" in line) is (width > 60)


def test_a_run_that_stops_tells_no_time(monkeypatch):
    monkeypatch.setattr(phases._state, "note", "stops when it is saved")
    line = shown(120)
    assert "images/s  stops when it is saved" in line and "left" not in line
    assert "stops when it is saved" in shown(60)


def test_what_is_too_long_is_cut():
    this = Phase("reading the checkpoint in /home/of/somebody/runs/lenet-2026-01-01-120000", 10)
    this.move(3)
    this.begun -= 64
    console = Console(width=60, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(Line(lambda: this, console))
    (line,) = captured.get().splitlines()
    assert "reading the checkpoint in /home/of" in line and line.rstrip().endswith(" left")
    assert len(line.rstrip()) <= 58


def test_masks_and_skipped_updates():
    line = shown(140, test_iou=0.329, skipped=3)
    assert "test accuracy 97.50%  overlap 32.90%  12,346 images/s  3 skipped" in line
    assert "loss 0.250  iou 32.9%" in shown(80, test_iou=0.329)


def test_signals_are_no_images():
    wide, middle, narrow, least = progress.figures(1, 2, MEASURED, "signals")
    assert all(form.endswith("  12,346 signals/s") for form in (wide, middle, narrow))
    assert least.endswith("  12,346/s")


def test_before_the_first_figures():
    assert progress.before(0, 30) == "in epoch 1/30"
    assert progress.before(4.2, 30) == "goes on in epoch 5/30"
