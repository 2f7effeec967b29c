"""A run from its first step to its last: watched, tested, saved, stopped, resumed, drawn."""

import contextlib
import dataclasses
import time
from typing import Any

import jax

from experiments.commands import phases, stopping
from experiments.commands.command import NotFinite, UserError, require
from experiments.commands.phases import phase
from experiments.data.split import first_line
from experiments.training import progress
from experiments.training.checkpoints import Checkpoints
from experiments.training.epochs import Frozen, Tested
from experiments.training.evaluation import results
from experiments.training.inputs import Inputs
from experiments.training.processes import agreed, is_first, say
from experiments.training.profile import Profile
from experiments.training.programs import Programs
from experiments.training.records import Records, add_times
from experiments.training.runs import Run, writing
from experiments.training.step import TrainState

_STOPPING = "stops when it is saved; again: at once"
_TOGETHER = 32  # steps between two agreements of several processes


@dataclasses.dataclass(frozen=True)
class Monitoring:
    """How a run is watched and saved; none of it changes the result."""

    save_seconds: float = 600.0
    """Time between the checkpoints within an epoch that is streamed; each epoch ends with one."""
    tensorboard: bool = False
    """Whether the metrics are written for TensorBoard too."""
    profile: bool = False
    """Whether a trace of the first epoch (of a stream: of 5 steps) is written, for Perfetto."""
    data_seconds: float = 300.0
    """Longest wait for a batch of a data set that is streamed."""

    def __post_init__(self):
        for name in ("save_seconds", "data_seconds"):
            require(getattr(self, name) > 0, name, getattr(self, name), "must be above 0")


def fit(
    programs: Programs,
    run: Run,
    *,
    seed: int,
    resume: bool = False,
    again: str = "",
    monitoring: Monitoring | None = None,
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
      monitoring: how it is watched and saved.
    Returns:
      The last state, and its test: "loss", "accuracy" and "iou", see `results`.
    Raises:
      SystemExit: stopped by Ctrl-C (code 130) or SIGTERM (code 0), after a checkpoint.
      NotFinite: a loss or an update was not, see `Recipe.nonfinite`.
      UserError: another program holds the folder; the disk, the data or the memory gave out.
    """
    with run.locked() if is_first() else contextlib.nullcontext():
        with phase("saving", "looking for checkpoints", brief=True), writing(run.folder):
            checkpoints = Checkpoints(run.checkpoints)
        with checkpoints:
            begun = _begin(programs, run, checkpoints, seed, resume)
            try:
                with programs.memory_explained("training"):
                    return _fit(
                        programs, run, checkpoints, *begun, seed, again, monitoring or Monitoring()
                    )
            except UserError as known:
                error = known
            except Frozen as frozen:
                error = _not_finite(programs, frozen.state, seed)
                again = f"{again} --nonfinite skip".strip()
            last = _last_good(programs, checkpoints, again)
            raise type(error)(f"{error}; {last}") from None


def _begin(
    programs: Programs, run: Run, checkpoints: Checkpoints, seed: int, resume: bool
) -> tuple[TrainState, int, Any]:
    """The state to begin with, how many steps were done, and the position of the data."""
    if not resume or checkpoints.newest is None:
        if resume:
            say("no checkpoint was saved before: begins with the first step")
        return programs.initial_state(seed), 0, None
    with phase("saving", "reading the checkpoint"), writing(run.folder):  # sets damaged ones aside
        done, items = checkpoints.restore_newest(to_items(programs.like))
    steps, epochs = programs.batches.steps, programs.recipe.epochs
    last = ", the last; more --epochs train it for longer" if done == steps * epochs else ""
    say(f"goes on after {_place(done, steps, epochs)}{last}")
    return from_items(items), done, items["facts"].get("position", {})


def _fit(
    programs: Programs,
    run: Run,
    checkpoints: Checkpoints,
    state: TrainState,
    done: int,
    position: Any,
    seed: int,
    again: str,
    monitoring: Monitoring,
) -> tuple[TrainState, dict[str, float]]:
    """`fit`, alone in its folder."""
    batches, epochs = programs.batches, programs.recipe.epochs
    if is_first():
        run.begin()
    batches.patience = monitoring.data_seconds
    with phase("data", "opening the data", brief=True):
        batches.start(seed, position)
    key, total = programs.key(seed), epochs * batches.steps
    saved = mark = time.perf_counter()
    begun, tested, skipped, stop = done, None, 0, False
    with (
        phases.noting(_STOPPING) as noted,
        Records(run, tensorboard=monitoring.tensorboard) as records,
        phase("training", "training", total=epochs, done=done / batches.steps) as shown,
        Profile(run.folder / "profile", monitoring.profile * batches.traced) as profile,
    ):
        shown.move(done / batches.steps, progress.before(done / batches.steps, epochs))
        while done < total:
            state, done, _ = batches.advance(state, done, key)
            profile.advanced(state)
            ended, score = done % batches.steps == 0, None
            if not ended:  # which is known when it is computed
                shown.move(done / batches.steps)
            if ended:
                batches.check(state)
                jax.block_until_ready(state)
                seconds = time.perf_counter() - mark
                with phase("test", "testing"):
                    tested = batches.test(state.tested)
                measured = _measured(programs, state, tested, (done - begun) / seconds)
                epoch = done // batches.steps
                records.add(epoch, done, measured)
                forms = progress.figures(epoch, epochs, measured, programs.dataset.kind)
                shown.move(epoch, *forms)
                shown.leave(last=done == total)
                skipped += measured.get("skipped", 0)
                score = measured.get("test_iou", measured["test_accuracy"])
                mark, begun = time.perf_counter(), done
            stop = noted.signal is not None
            due = time.perf_counter() - saved > monitoring.save_seconds
            if jax.process_count() > 1:
                together = ended or done % _TOGETHER == 0
                stop, due = agreed(stop, due) if together else (False, False)
            if ended or stop or due:
                batches.check_whole(state)
                with phase("saving", "saving"), writing(run.folder):
                    facts = {"seed": seed, "position": batches.position()}
                    checkpoints.save(done, to_items(state), facts, score)
                    if stop:
                        checkpoints.wait()
                saved = time.perf_counter()
            if stop:
                break
        if done == total:  # as far as that is not done yet
            with phase("saving", "saving"), writing(run.folder):
                checkpoints.wait()
        stopped = noted.signal is not None if jax.process_count() == 1 else stop
    if stopped:
        add_times(run)
        if is_first():
            place = _place(done, batches.steps, epochs)
            stopping.say(f"stopped after {place}; go on with: {again}")
        raise SystemExit(noted.code)
    if skipped:
        say(f"{skipped} updates were not finite and left out")
    if tested is None:  # a run resumed at its end took no step
        with phase("test", "testing"):
            tested = batches.test(state.tested)
    if is_first():
        with phase("pictures", "drawing the pictures"):
            from experiments.training import pictures  # with Matplotlib, which no step waits for

            inputs = Inputs.of(programs.dataset, programs.image_shape)
            inputs.tested(tested.outputs).save(run)
            pictures.draw(run, programs.dataset, tested, batches.pictured())
    add_times(run)
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
    steps, (loss, accuracy, skipped) = programs.batches.steps, state.sums
    skipped = int(skipped)
    test = results(tested.sums)
    if programs.dataset.task == "classification":
        test.pop("iou")
    measured = {
        "train_loss": float(loss) / (steps - skipped),
        "train_accuracy": float(accuracy) / (steps - skipped),
        **{f"test_{name}": value for name, value in test.items()},
        "seconds": steps / rate,
        "images_per_second": programs.recipe.batch_size * rate,
    }
    measured = {name: round(float(value), 6) for name, value in measured.items()}
    return {**measured, "skipped": skipped} if programs.recipe.nonfinite == "skip" else measured


def _not_finite(programs: Programs, state: TrainState, seed: int) -> NotFinite:
    """Says in which step of which epoch, and where in the network."""
    if programs.recipe.nonfinite == "skip":  # all of an epoch were; the last of them is looked at
        state = state._replace(step=state.step - 1)
    steps, epochs = programs.batches.steps, programs.recipe.epochs
    try:
        where = programs.origin(state, *programs.batches.batch(state, programs.key(seed)))
    except Exception as error:  # a network that cannot be watched, or too little memory for it
        where = f"a layer that cannot be told ({first_line(error)[:100]})"
    return NotFinite(
        f"the training is no longer finite in {_place(int(state.step) + 1, steps, epochs, True)}: "
        f"NaN or infinity appeared first in {where}; a lower --learning-rate may help"
    )


def _last_good(programs: Programs, checkpoints: Checkpoints, again: str) -> str:
    """Where a run can go on from."""
    with contextlib.suppress(OSError):
        checkpoints.wait()
    step = checkpoints.newest
    if step is None:
        return "no checkpoint was saved before"
    place = _place(step, programs.batches.steps, programs.recipe.epochs)
    on = f", go on with: {again}" if again else ""
    return f"the last good checkpoint is {checkpoints.folder / str(step)}, after {place}{on}"


def _place(done: int, steps: int, epochs: int, within: bool = False) -> str:
    """Where a run is, in words; the last step of an epoch ends it, but for `within`."""
    epoch, since = divmod(done, steps)
    if within and not since:
        epoch, since = epoch - 1, steps
    if since:
        return f"step {since} of {steps} of epoch {epoch + 1} of {epochs}"
    return f"epoch {epoch} of {epochs}"
