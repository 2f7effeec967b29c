"""What a run measures, epoch by epoch: metrics.jsonl, and TensorBoard where it is wanted.

And what it took: times.json, an entry for each program that trained it.
"""

import contextlib
import time
from collections.abc import Mapping

from experiments.commands import account, files, phases
from experiments.commands.command import extra
from experiments.training.processes import is_first
from experiments.training.runs import Run, writing

_MOST_TIMES = 2**20  # bytes


def add_times(run: Run) -> None:
    """Adds to times.json what was spent in each phase since this was last called.

    `{"programs": [{"clock": {"import": 2.1, ..., "all": 31.6}, "cpu": {...}}, ...]}`, in seconds.
    """
    if not is_first():
        return
    programs = []
    with contextlib.suppress(OSError, ValueError, AttributeError):  # absent, or damaged: anew
        before = files.parse(files.read(run.folder / "times.json", _MOST_TIMES))
        programs = [each for each in before.get("programs", []) if isinstance(each, dict)]
    run.save_json("times", {"programs": [*programs, account.record(phases.spent())]})


class Records:
    """Written by the first process alone; to be used as a context manager."""

    def __init__(self, run: Run, *, tensorboard: bool):
        """Opens the folder `tensorboard` of the run if asked for."""
        self._run, self._writer = run, None
        if tensorboard and is_first():
            with extra("experiments"):
                from tensorboardX import event_file_writer
            # Written here: SummaryWriter has a thread for it, which a full disk ends; after some
            # more figures that are not written the program would wait for it for ever.
            with writing(run.folder):
                folder = run.folder / "tensorboard"
                folder.mkdir(exist_ok=True)
                number = len(list(folder.iterdir()))  # by the clock two may have one name
                prefix = str(folder / "events")
                self._writer = event_file_writer.EventsWriter(prefix, f".{number}")

    def __enter__(self) -> "Records":
        return self

    def __exit__(self, *exception) -> None:
        if self._writer:
            with contextlib.suppress(OSError):  # all figures were written out before
                self._writer.close()

    def add(self, epoch: int, step: int, measured: Mapping[str, float]) -> None:
        """The figures of an epoch, which ended after `step` steps in all."""
        if not is_first():
            return
        with writing(self._run.folder):
            self._run.add_metrics(epoch, **measured)
            if self._writer:
                self._add_events(step, measured)

    def _add_events(self, step: int, measured: Mapping[str, float]) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for name, value in measured.items():
            split, _, kind = name.rpartition("_")
            summary = scalar(f"{kind}/{split}" if split else name, value)
            self._writer.write_event(Event(wall_time=time.time(), step=step, summary=summary))
        self._writer.flush()
