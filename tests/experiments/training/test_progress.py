"""Live progress."""

import io

from rich.console import Console

from experiments.training.progress import EpochProgress

MEASURED = {"train_loss": 0.25, "test_accuracy": 0.975, "images_per_second": 12345.6}


def draw(terminal):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=120)
    with EpochProgress(5, 2, console) as progress:
        progress.show(MEASURED)
        progress.move(3.2)
    return file.getvalue()


def test_terminal_shows_the_figures():
    output = draw(terminal=True)
    for text in ("epoch 3/5", "loss 0.2500", "accuracy 97.50%", "12,346 images/s", "time left"):
        assert text in output


def test_silence_elsewhere():
    assert draw(terminal=False).strip() == ""
