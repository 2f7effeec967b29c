"""What a run measures, epoch by epoch: metrics.jsonl, and TensorBoard where it is wanted."""

from collections.abc import Mapping

from experiments.command import extra
from experiments.parallel import is_first
from experiments.runs import Run, writing


class Records:
    """Written by the first process alone; to be used as a context manager."""

    def __init__(self, run: Run, *, tensorboard: bool):
        """Opens the folder `tensorboard` of the run if asked for."""
        self._run, self._writer = run, None
        if tensorboard and is_first():
            with extra("experiments"):
                from tensorboardX import SummaryWriter
            with writing(run.folder):
                self._writer = SummaryWriter(str(run.folder / "tensorboard"))

    def __enter__(self) -> "Records":
        return self

    def __exit__(self, *exception) -> None:
        if self._writer:
            self._writer.close()

    def add(self, epoch: int, step: int, measured: Mapping[str, float]) -> None:
        """The figures of an epoch, which ended after `step` steps in all."""
        if not is_first():
            return
        with writing(self._run.folder):
            self._run.add_metrics(epoch, **measured)
            for name, value in measured.items() if self._writer else ():
                split, _, kind = name.rpartition("_")
                self._writer.add_scalar(f"{kind}/{split}" if split else name, value, step)
