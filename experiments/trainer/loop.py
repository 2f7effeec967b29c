"""A run from its first step to its last: watched, tested, saved, stopped, resumed, drawn."""

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Any

import jax

from experiments.command import require
from experiments.parallel import is_first
from experiments.runs import Run, writing
from experiments.trainer import pictures
from experiments.trainer.checkpoints import Checkpoints
from experiments.trainer.epochs import Tested
from experiments.trainer.evaluation import results
from experiments.trainer.interruption import Interruption, agreed
from experiments.trainer.programs import Programs
from experiments.trainer.progress import EpochProgress
from experiments.trainer.records import Records
from experiments.trainer.step import TrainState

_TOGETHER = 32  # steps between two agreements of several processes


@dataclasses.dataclass(frozen=True)
class Watch:
    """How a run is watched and saved; none of it changes the result."""

    save_seconds: float = 600.0
    """Time between the checkpoints within an epoch that is streamed; each epoch ends with one."""
    tensorboard: bool = False
    """Whether the metrics are written for TensorBoard too."""
    profile: bool = False
    """Whether a trace of the first epoch (of a stream: of 5 steps) is written, for Perfetto."""

    def __post_init__(self):
        require(self.save_seconds > 0, "save_seconds", self.save_seconds, "must be above 0")


def fit(
    programs: Programs,
    run: Run,
    *,
    seed: int,
    resume: bool = False,
    again: str = "",
    watch: Watch | None = None,
) -> tuple[TrainState, dict[str, float]]:
    """Trains to the last epoch and draws the pictures.

    All that is random follows from `seed` and the number of the step, and a checkpoint holds all
    the rest, so that a resumed run ends with the same bits as one that was never stopped.

    Args:
      programs: compiled for the data and the recipe.
      run: folder of the run.
      seed: of the initial parameters, the order, the augmentation and dropout.
      resume: whether to go on from the newest whole checkpoint of `run`.
      again: the command that goes on with this run, told when it is stopped.
      watch: how it is watched and saved.
    Returns:
      The last state, and its test: "loss", "accuracy" and "iou", see `results`.
    Raises:
      SystemExit: stopped by Ctrl-C (code 130) or SIGTERM (code 0), after a checkpoint.
      UserError: another program holds the folder.
    """
    with run.locked() if is_first() else contextlib.nullcontext():
        return _fit(programs, run, seed, resume, again, watch or Watch())


def _fit(
    programs: Programs, run: Run, seed: int, resume: bool, again: str, watch: Watch
) -> tuple[TrainState, dict[str, float]]:
    """`fit`, alone in its folder."""
    batches, epochs = programs.batches, programs.recipe.epochs
    state, done, position = programs.initial_state(seed), 0, None
    with writing(run.folder):
        checkpoints = Checkpoints(run.checkpoints)
        if resume and not checkpoints.empty:  # damaged checkpoints are set aside
            done, items = checkpoints.restore_newest(to_items(state))
            state, position = from_items(items), items["facts"]["position"]
            _say(f"goes on after {_place(done, batches.steps, epochs)}")
    batches.start(seed, position)
    key, start, total = programs.key(seed), time.perf_counter(), epochs * batches.steps
    saved = mark = start
    begun, tested = done, None
    with (
        Interruption() as interruption,
        Records(run, tensorboard=watch.tensorboard) as records,
        EpochProgress(epochs, done / batches.steps) as progress,
        _Profile(run.folder / "profile", watch.profile * batches.traced) as profile,
    ):
        while done < total:
            state, done, _ = batches.advance(state, done, key)
            profile.advanced(state)
            progress.move(done / batches.steps)
            ended, score = done % batches.steps == 0, None
            if ended:
                jax.block_until_ready(state)
                seconds = time.perf_counter() - mark
                tested = batches.test(state.tested)
                measured = _measured(programs, state, tested, (done - begun) / seconds)
                records.add(done // batches.steps, done, measured)
                progress.show(measured)
                score = measured.get("test_iou", measured["test_accuracy"])
                mark, begun = time.perf_counter(), done
            stop = interruption.signal is not None and done < total
            due = time.perf_counter() - saved > watch.save_seconds
            if jax.process_count() > 1:
                together = ended or done % _TOGETHER == 0
                stop, due = agreed(stop, due) if together else (False, False)
            if ended or stop or due:
                with writing(run.folder):
                    facts = {"seed": seed, "position": batches.position()}
                    checkpoints.save(done, to_items(state), facts, score)
                saved = time.perf_counter()
            if stop:
                with writing(run.folder):
                    checkpoints.wait()
                _say(f"stopped after {_place(done, batches.steps, epochs)}; go on with: {again}")
                raise SystemExit(interruption.code)
    with writing(run.folder):
        checkpoints.wait()
    _say(f"training time {time.perf_counter() - start:.1f} s")
    tested = tested or batches.test(state.tested)  # a run resumed at its end took no step
    if is_first():
        pictures.draw(run, programs.dataset, tested, batches.pictured())
    return state, results(tested.sums)


def to_items(state: TrainState) -> dict[str, Any]:
    """A state as the items of a checkpoint."""
    training = {"step": state.step, "optimizer": state.optimizer, "sums": state.sums}
    average = {"average": state.average} if state.average else {}
    return {"model": state.model, **average, "training": training}


def from_items(items: dict[str, Any]) -> TrainState:
    """What `to_items` was given."""
    average = items.get("average", {})
    return TrainState(model=items["model"], average=average, **items["training"])


def _measured(
    programs: Programs, state: TrainState, tested: Tested, rate: float
) -> dict[str, float]:
    """The line of an epoch, at the `rate` of so many steps a second."""
    train = {name: float(value) for name, value in state.sums._asdict().items()}
    test = results(tested.sums)
    if programs.dataset.task == "classification":
        test.pop("iou")
    measured = {
        **{f"train_{name}": value / programs.batches.steps for name, value in train.items()},
        **{f"test_{name}": value for name, value in test.items()},
        "seconds": programs.batches.steps / rate,
        "images_per_second": programs.recipe.batch_size * rate,
    }
    return {name: round(float(value), 6) for name, value in measured.items()}


class _Profile:
    """A trace of the first few advances."""

    def __init__(self, folder: Path, advances: int):
        self._folder, self._left = folder, advances

    def __enter__(self) -> "_Profile":
        if self._left:
            jax.profiler.start_trace(self._folder)
        return self

    def advanced(self, state: TrainState) -> None:
        """One more is done, or in flight."""
        if self._left:
            self._left -= 1
            if not self._left:
                self._stop(state)

    def _stop(self, state: Any = ()) -> None:
        jax.block_until_ready(state)
        jax.profiler.stop_trace()

    def __exit__(self, *exception) -> None:
        if self._left:
            self._left = 0
            self._stop()


def _place(done: int, steps: int, epochs: int) -> str:
    """Where a run is, in words."""
    epoch, since = divmod(done, steps)
    if since:
        return f"step {since} of {steps} of epoch {epoch + 1} of {epochs}"
    return f"epoch {epoch} of {epochs}"


def _say(line: str) -> None:
    if is_first():
        print(line, flush=True)
