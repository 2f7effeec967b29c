"""Live progress of training on a terminal; nothing where the output is a file or a pipe."""

from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class EpochProgress:
    """A bar with the figures of the last epoch, to be used as a context manager."""

    def __init__(self, epochs: int, done: int = 0, console: Console | None = None):
        """Prepares the bar.

        Args:
          epochs: how many there are in all.
          done: how many were done before.
          console: where to draw; by default stdout.
        """
        console = console or Console()
        self._progress = Progress(
            TextColumn("epoch {task.completed}/{task.total}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TextColumn("time left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(
            "train", total=epochs, completed=done, figures="first epoch ..."
        )

    def __enter__(self) -> "EpochProgress":
        self._progress.start()
        return self

    def __exit__(self, *exception) -> None:
        self._progress.stop()

    def advance(self, measured: Mapping[str, float]) -> None:
        """One more epoch is done, with the figures of its line in metrics.jsonl."""
        figures = (
            f"loss {measured['train_loss']:.4f}  test accuracy {measured['test_accuracy']:.2%}  "
            f"{measured['images_per_second']:,.0f} images/s"
        )
        self._progress.update(self._task, advance=1, figures=figures)
