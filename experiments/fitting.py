"""A classifier from its first epoch to its last: compiled, watched, saved each epoch, drawn."""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import optax
from flax import nnx

from experiments.checkpoints import Checkpoints
from experiments.interruption import Interruption
from experiments.progress import EpochProgress
from experiments.runs import Run, writing
from experiments.training import TrainState, make_epoch, make_evaluate, split_model
from jaxcnn import visualize


class Data(NamedTuple):
    """Both splits on the device: bytes `(n, height, width, channels)` and labels `(n,)`."""

    train: tuple[jax.Array, jax.Array]
    test: tuple[jax.Array, jax.Array]


class Programs:
    """What is compiled: once for all seeds, because the parameters are arguments."""

    def __init__(
        self,
        make_model: Callable[[nnx.Rngs], nnx.Module],
        optimizer: optax.GradientTransformation,
        data: Data,
        **options,
    ):
        """Compiles for the shapes of `data`.

        Args:
          make_model: makes the model with fresh parameters.
          optimizer: from optax.
          data: both splits.
          options: those of `make_epoch`.
        """
        self._make_model, self._optimizer = make_model, optimizer
        self.graph, _ = split_model(make_model(nnx.Rngs(0)))
        state, start = self.initial_state(0), time.perf_counter()
        epoch = jax.jit(make_epoch(self.graph, optimizer, **options))
        self.epoch = epoch.lower(state, *data.train, jax.random.key(0)).compile()
        self.evaluate = jax.jit(make_evaluate(self.graph)).lower(state.model, *data.test).compile()
        self.compile_seconds = time.perf_counter() - start

    def initial_state(self, seed: int) -> TrainState:
        """The state before the first epoch."""
        _, model = split_model(self._make_model(nnx.Rngs(seed)))
        return TrainState(model, self._optimizer.init(model))


def fit(
    programs: Programs, data: Data, run: Run, *, epochs: int, seed: int, resume: bool, again: str
) -> float:
    """Trains to the last epoch, draws the pictures and returns the test accuracy, 0 to 1.

    All that is random in epoch e follows from (`seed`, e), and a checkpoint holds all the rest, so
    that a resumed run ends with the same bits as one that was never stopped.

    Args:
      programs: compiled for `data`.
      data: both splits.
      run: folder of the run.
      epochs: passes over the training images in all.
      seed: of the initial parameters, the order and the augmentation.
      resume: whether to go on from the newest whole checkpoint of `run`.
      again: the command that goes on with this run, told when it is stopped by Ctrl-C or SIGTERM.
    Raises:
      SystemExit: stopped by a signal, after a whole epoch and its checkpoint; code 128 + signal.
    """
    state, done = programs.initial_state(seed), 0
    with writing(run.folder):
        checkpoints = Checkpoints(run.checkpoints)
    if resume:
        with writing(run.folder):  # damaged checkpoints are set aside
            done, items = checkpoints.restore_newest(state._asdict())
        state = TrainState(**items)
        print(f"goes on after epoch {done} of {epochs}", flush=True)
    key, start = jax.random.key(seed), time.perf_counter()
    with Interruption() as interruption, EpochProgress(epochs, done) as progress:
        for epoch in range(done + 1, epochs + 1):
            state, measured = _one_epoch(programs, data, state, jax.random.fold_in(key, epoch))
            with writing(run.folder):
                run.add_metrics(epoch, **measured)
                checkpoints.save(epoch, state._asdict())
            progress.advance(measured)
            if interruption.signal and epoch < epochs:
                print(f"stopped after epoch {epoch} of {epochs}; go on with: {again}", flush=True)
                raise SystemExit(128 + interruption.signal)
    print(f"training time {time.perf_counter() - start:.1f} s", flush=True)
    metrics, probabilities = programs.evaluate(state.model, *data.test)
    _draw(run, data, np.asarray(probabilities))
    return float(metrics.accuracy)


def _one_epoch(
    programs: Programs, data: Data, state: TrainState, key: jax.Array
) -> tuple[TrainState, dict[str, float]]:
    start = time.perf_counter()
    state, train = jax.block_until_ready(programs.epoch(state, *data.train, key))
    seconds = time.perf_counter() - start
    test, _ = programs.evaluate(state.model, *data.test)
    measured = {
        "train_loss": train.loss,
        "train_accuracy": train.accuracy,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "seconds": seconds,
        "images_per_second": len(data.train[0]) / seconds,
    }
    return state, {name: round(float(value), 6) for name, value in measured.items()}


def _draw(run: Run, data: Data, probabilities: np.ndarray) -> None:
    images, labels = (np.asarray(array) for array in data.test)
    predictions = probabilities.argmax(-1)
    lines = run.metrics()
    curves = {
        kind: {
            "train (augmented)": [line[f"train_{kind}"] for line in lines],
            "test": [line[f"test_{kind}"] for line in lines],
        }
        for kind in ("loss", "accuracy")
    }
    epochs = [line["epoch"] for line in lines]
    if epochs:  # absent only where somebody deleted the file
        figure = visualize.learning_curves(epochs, curves["loss"], curves["accuracy"])
        run.save_picture("learning_curves", figure)
    names = [str(label) for label in range(probabilities.shape[-1])]
    run.save_picture(
        "confusion", visualize.confusion_matrix(labels, predictions, class_names=names)
    )
    run.save_picture("misread", visualize.misclassified(images, labels, probabilities))
