"""Where the batches come from: a data set on the device, or a stream.

On the device an epoch is one program: permutation, gather, augmentation and step inside a scan. A
stream hands over one batch after another. Both have one face:

    start(seed, position)      before the first step, or where a saved run was
    advance(state, done, key)  some more steps, at most to the end of the epoch
    check(state)               raises `Frozen` after an update that was not finite
    check_whole(state)         and where the state itself is not, before it is saved
    batch(state, key)          what the step was given that froze the state
    position()                 what a checkpoint must hold to go on from here
    test(model)                every test example once
    pictured()                 the first of them
"""

import operator
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.commands.command import UserError
from experiments.data import Dataset, read_once, stream
from experiments.training.evaluation import Sums, fill, no_class
from experiments.training.mesh import batch_sharding, batch_share, replicated, split
from experiments.training.network import Model
from experiments.training.place import place_batch, replicate
from experiments.training.reading import Reader
from experiments.training.recipe import Recipe
from experiments.training.step import Metrics, Step, TrainState

_PICTURED = 1000  # tests whose outputs are kept for the pictures

Advanced = tuple[TrainState, int, Metrics]  # the steps done, and the metrics of the new ones


class Frozen(Exception):
    """An update was not finite, and `state` is that before it, see `make_step`.

    Only where the update itself overflowed, from finite gradients, `state` is not finite either.
    """

    def __init__(self, state: TrainState):
        super().__init__()
        self.state = state


class Tested:
    """What a test gave: sums over all examples, and the outputs of the first `_PICTURED`."""

    def __init__(self, sums: Sums, outputs: Any):
        self.sums, self.outputs = sums, np.asarray(outputs)


class _Batches:
    """What both have in common."""

    def __init__(self, dataset: Dataset, recipe: Recipe, step: Step, evaluate, mesh):
        self.mesh, self._dataset, self._recipe = mesh, dataset, recipe
        self.steps = len(dataset.train) // recipe.batch_size
        self.patience = 300.0  # seconds to wait for a batch
        self.compiled: Any = None  # an epoch, or a step
        self._step, self._evaluate = step, evaluate
        self._pictured = min(len(dataset.test), _PICTURED)
        parts = mesh.shape["data"]
        self._test_size = -(-min(recipe.test_batch_size, len(dataset.test)) // parts) * parts
        # A checkpoint being written reads the buffers of the CPU; it has its own copy elsewhere.
        on_cpu = mesh.devices.flat[0].platform == "cpu"
        self._jit = {"donate_argnums": () if on_cpu else (0,), "out_shardings": replicated(mesh)}

    def check(self, state: TrainState) -> None:
        """Raises `Frozen` if the run is to stop: after one update that was left out, or after an
        epoch of them where they may be."""
        most = {"stop": 1, "skip": self.steps, "ignore": self.steps}[self._recipe.nonfinite]
        if int(state.sums.skipped) >= most:
            raise Frozen(state)

    def check_whole(self, state: TrainState) -> None:
        """As `check`, and where anything in a state to be saved is not finite."""
        self.check(state)
        floats = (
            leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.inexact)
        )
        whole = all(np.isfinite(np.asarray(leaf, np.float32)).all() for leaf in floats)
        if not whole and self._recipe.nonfinite != "ignore":
            raise Frozen(state)


class OnDevice(_Batches):
    """A data set that every device holds whole."""

    traced = 1  # advances that a profile shows

    def __init__(self, dataset: Dataset, recipe: Recipe, step: Step, evaluate, mesh):
        super().__init__(dataset, recipe, step, evaluate, mesh)
        self.train = replicate(mesh, dataset.train.arrays())
        images, targets = dataset.test.arrays()
        self._first = images[: self._pictured], targets[: self._pictured]
        test = fill(images, targets, self._test_size)
        batches = (a.reshape(-1, self._test_size, *a.shape[1:]) for a in test)
        self.tested = replicate(mesh, tuple(batches))

    def compile(self, state: TrainState, key: jax.Array) -> None:
        """Compiles an epoch and the test."""
        epoch = jax.jit(self._epoch, **self._jit)
        test = jax.jit(self._test, out_shardings=replicated(self.mesh))
        with split(self.mesh):
            self.compiled = epoch.lower(state, *self.train, key).compile()
            self._whole_test = test.lower(state.model, *self.tested).compile()

    def start(self, seed: int, position: Any = None) -> None:
        """Nothing: the order follows from the key and the number of the epoch."""

    def position(self) -> Any:
        """Nothing."""
        return None

    def advance(self, state: TrainState, done: int, key: jax.Array) -> Advanced:
        """One epoch."""
        state, metrics = self.compiled(state, *self.train, key)
        return state, done + self.steps, metrics

    def test(self, model: Model) -> Tested:
        """One program."""
        return Tested(*self._whole_test(model, *self.tested))

    def pictured(self) -> tuple[np.ndarray, np.ndarray]:
        """Images and targets of the first tests."""
        return self._first

    def batch(self, state: TrainState, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Images, targets and key of the next step."""
        rows = self._rows(state, key)[int(state.step) % self.steps]
        images, targets = self.train
        return images[rows], targets[rows], jax.random.fold_in(key, 1)

    def _rows(self, state: TrainState, key) -> jax.Array:
        """The images of each step, in an order drawn from `key`; those that fill no batch rest."""
        order_key = jax.random.fold_in(jax.random.fold_in(key, 0), state.step // self.steps)
        order = jax.random.permutation(order_key, len(self.train[0]))
        return order[: self.steps * self._recipe.batch_size].reshape(self.steps, -1)

    def _epoch(self, state: TrainState, images, targets, key):
        rows, key = self._rows(state, key), jax.random.fold_in(key, 1)
        # Not unrolled: by 4 it took the same time (1.0 s of CPU an epoch) and longer to compile.
        return jax.lax.scan(
            lambda state, rows: self._step(state, images[rows], targets[rows], key), state, rows
        )

    def _test(self, model: Model, images, targets):
        _, (sums, outputs) = jax.lax.scan(
            lambda _, batch: (None, self._evaluate(model, *batch)), None, (images, targets)
        )
        # Summed behind the scan: a carry's shapes would take another trace of the network.
        sums = jax.tree.map(lambda each: each.sum(axis=0, dtype=each.dtype), sums)
        return sums, outputs.reshape(-1, *outputs.shape[2:])[: self._pictured]


class Streamed(_Batches):
    """A data set that is read while it is trained on."""

    traced = 5

    def __init__(
        self, dataset: Dataset, recipe: Recipe, step: Step, evaluate, mesh, image_size=None
    ):
        super().__init__(dataset, recipe, step, evaluate, mesh)
        index, count = batch_share(mesh)
        self._options = {
            "image_size": image_size,
            "process_index": index,
            "process_count": count,
        }
        self._shape = dataset.shape_at(image_size)
        self._share = count

    def compile(self, state: TrainState, key: jax.Array) -> None:
        """Compiles a step and the test of a batch."""
        self.compiled = self.lowered(state, key).compile()
        test = jax.jit(self._evaluate, out_shardings=replicated(self.mesh))
        with split(self.mesh):
            self._test_batch = test.lower(state.model, *self._like(self._test_size)).compile()

    def lowered(self, state: TrainState, key: Any) -> jax.stages.Lowered:
        """A step for a state and a key of these shapes, neither of which need be there."""
        step = jax.jit(self._keyed_step, **self._jit)
        with split(self.mesh):
            return step.lower(state, *self._like(self._recipe.batch_size), key)

    def start(self, seed: int, position: Any = None) -> None:
        """Opens the stream."""
        size = self._recipe.batch_size // self._share
        self._stream = stream(self._dataset.train, batch_size=size, seed=seed, **self._options)
        if position is not None:
            try:
                self._stream.set_state({"next_index": operator.index(position["next_index"])})
            except (KeyError, TypeError, IndexError) as error:
                raise UserError(
                    f"the checkpoint does not say where its run was in the data ({error}); move it "
                    "to another place, to go on from the one before"
                ) from None
        self._reader = Reader(self._stream, self._dataset.train, self.patience)

    def position(self) -> Any:
        """State of the stream."""
        return self._stream.get_state()

    def advance(self, state: TrainState, done: int, key: jax.Array) -> Advanced:
        """One step, begun while the one before is computed, and no further ahead."""
        batch = place_batch(self.mesh, next(self._reader), rows=False)
        self.check(state)
        self._batch = batch
        state, metrics = self.compiled(state, *batch, key)
        return state, done + 1, metrics

    def batch(self, state: TrainState, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Images, targets and key of the last step."""
        return *self._batch, jax.random.fold_in(key, 1)

    def test(self, model: Model) -> Tested:
        """One batch after another."""
        total, outputs = None, []
        for images, targets in self._tests():
            batch = place_batch(self.mesh, (images, targets), rows=False)
            sums, output = self._test_batch(model, *batch)
            total = sums if total is None else jax.tree.map(jnp.add, total, sums)
            if len(outputs) * self._test_size < self._pictured:
                outputs.append(np.asarray(output))
        return Tested(total, np.concatenate(outputs)[: self._pictured])

    def pictured(self) -> tuple[np.ndarray, np.ndarray]:
        """Images and targets of the first tests, those of all processes."""
        size = self._options["image_size"]
        batch = read_once(self._dataset.test, batch_size=self._pictured, image_size=size)
        images, targets, _ = next(Reader(batch, self._dataset.test, self.patience))
        return images, targets

    def _tests(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        size = self._test_size // self._share
        tests = read_once(self._dataset.test, batch_size=size, **self._options)
        for images, targets, valid in Reader(tests, self._dataset.test, self.patience):
            valid = valid.reshape(-1, *[1] * (targets.ndim - 1))
            yield images, np.where(valid, targets, no_class(targets))

    def _like(self, size: int) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
        """A batch of images and targets, without the arrays."""
        is_mask = self._dataset.task == "segmentation"
        targets = (size, *self._shape[:-1]) if is_mask else (size,)
        kinds = (((size, *self._shape), np.uint8), (targets, np.uint8 if is_mask else np.int32))
        return tuple(
            jax.ShapeDtypeStruct(
                shape, dtype, sharding=batch_sharding(self.mesh, len(shape), rows=False)
            )
            for shape, dtype in kinds
        )

    def _keyed_step(self, state: TrainState, images, targets, key):
        return self._step(state, images, targets, jax.random.fold_in(key, 1))
