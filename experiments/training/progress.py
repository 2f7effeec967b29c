"""Live progress of training on a terminal; nothing where the output is a file or a pipe."""

from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class EpochProgress:
    """A bar with the figures of the last epoch, to be used as a context manager."""

    def __init__(self, epochs: int, done: float = 0, console: Console | None = None):
        """Prepares the bar.

        Args:
          epochs: how many there are in all.
          done: how many were done before, which need not be whole.
          console: where to draw; by default stdout.
        """
        console = console or Console()
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.total:.0f}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TextColumn("time left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(
            "train", total=epochs, completed=done, epoch=int(done), figures="first epoch ..."
        )

    def __enter__(self) -> "EpochProgress":
        self._progress.start()
        return self

    def __exit__(self, *exception) -> None:
        self._progress.stop()

    def move(self, done: float) -> None:
        """So many epochs are done in all."""
        self._progress.update(self._task, completed=done, epoch=int(done))

    def show(self, measured: Mapping[str, float]) -> None:
        """The figures of the last epoch: its line in metrics.jsonl."""
        overlap = f"  overlap {measured['test_iou']:.2%}" if "test_iou" in measured else ""
        skipped = f"  {measured['skipped']} skipped" if measured.get("skipped") else ""
        figures = (
            f"loss {measured['train_loss']:.4f}  test accuracy {measured['test_accuracy']:.2%}"
            f"{overlap}  {measured['images_per_second']:,.0f} images/s{skipped}"
        )
        self._progress.update(self._task, figures=figures)
