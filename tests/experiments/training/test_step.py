"""The numerics of a step: by hand, in parts, averaged, with dropout, on masks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from scipy.special import log_softmax

from experiments.training.augment import Augmentation
from experiments.training.mesh import make_mesh
from experiments.training.network import Network, scale
from experiments.training.place import replicate
from experiments.training.recipe import Recipe
from experiments.training.step import initial_state, make_step

pytestmark = pytest.mark.usefixtures("plain_jax")

PLAIN = Recipe(augmentation=Augmentation())


class Linear(nnx.Module):
    """6 x 5 pixels to 3 classes, with whatever comes before."""

    def __init__(self, rngs, *, before=None):
        self.before = before
        self.linear = nnx.Linear(30, 3, rngs=rngs)

    def __call__(self, inputs):
        inputs = inputs if self.before is None else self.before(inputs)
        return self.linear(inputs.reshape(len(inputs), -1))


def steps(make, recipe, batches, *, optimizer=None, classes=3, seed=1, **options):
    """The states after each of some batches, and the metrics."""
    network, optimizer = Network(make), optimizer or optax.sgd(0.1)
    options = {"steps_per_epoch": 100, **options}
    mesh = make_mesh("data=1")
    step = jax.jit(make_step(network, optimizer, recipe, classes=classes, mesh=mesh, **options))
    start = replicate(mesh, initial_state(network, optimizer, recipe, seed))  # as a step leaves it
    states, measured = [start], []
    for images, targets in batches:
        state, metrics = step(states[-1], images, targets, jax.random.key(7))
        states.append(state)
        measured.append(metrics)
    return states, measured


@pytest.fixture
def batches(tiny_data):
    images, labels = tiny_data.train.arrays()
    return [(images[rows], labels[rows]) for rows in (slice(0, 8), slice(8, 16), slice(16, 24))]


def assert_close(tree, other, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), tree, other)


def test_scale():
    scaled = scale(jnp.array([0, 51, 255], jnp.uint8))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [0, 0.2, 1], rtol=1e-6)


def test_steps_written_out(batches):
    """Softmax regression by hand; the sums begin anew with each epoch."""
    recipe = dataclasses.replace(PLAIN, label_smoothing=0.2)
    states, measured = steps(lambda rngs: Linear(rngs), recipe, batches, steps_per_epoch=2)
    first = states[0].model["params"]["linear"]
    kernel, bias = (np.asarray(first[name], np.float64) for name in ("kernel", "bias"))
    for (images, labels), state, metrics in zip(batches, states[1:], measured, strict=True):
        inputs = images.reshape(8, -1) / 255
        target = 0.8 * np.eye(3)[labels] + 0.2 / 3
        logits = inputs @ kernel + bias
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        exact = -np.log(probabilities[np.arange(8), labels]).mean()
        np.testing.assert_allclose(metrics.loss, exact, rtol=1e-5)
        np.testing.assert_allclose(metrics.accuracy, (logits.argmax(1) == labels).mean())
        error = (probabilities - target) / 8
        kernel, bias = kernel - 0.1 * inputs.T @ error, bias - 0.1 * error.sum(0)
        wanted = {"kernel": kernel, "bias": bias}
        assert_close(dict(state.model["params"]["linear"]), wanted, rtol=1e-4, atol=1e-5)
    first, second, third = (np.asarray(metrics.loss) for metrics in measured)
    np.testing.assert_allclose(states[2].sums.loss, first + second, rtol=1e-6)
    np.testing.assert_allclose(states[3].sums.loss, third)


def test_parts_of_a_batch_give_the_same_step(batches):
    """And in the same order of rows, whatever they are split into."""
    whole, _ = steps(lambda rngs: Linear(rngs), PLAIN, batches)
    recipe = dataclasses.replace(PLAIN, accumulate=4)
    parts, measured = steps(lambda rngs: Linear(rngs), recipe, batches)
    assert_close(parts[-1].model, whole[-1].model, rtol=1e-5, atol=1e-6)
    assert_close(parts[-1].sums, whole[-1].sums, rtol=1e-5)


def test_whole_network_computed_anew_gives_the_same_step(batches):
    def make(rngs):
        return Linear(rngs, before=nnx.Dropout(0.5, rngs=rngs))

    kept, _ = steps(make, PLAIN, batches)
    anew, _ = steps(make, PLAIN, batches, remat=True)
    assert_close(anew[-1].model, kept[-1].model, rtol=1e-5, atol=1e-6)


def test_statistics_of_batch_norm_and_their_average(batches):
    def make(rngs):
        return Linear(rngs, before=nnx.BatchNorm(1, momentum=0.5, rngs=rngs))

    recipe = dataclasses.replace(PLAIN, ema=0.9)
    states, _ = steps(make, recipe, batches[:2])
    stats = [state.model["stats"]["before"]["mean"][0] for state in states]
    means = [images.mean() / 255 for images, _ in batches]
    np.testing.assert_allclose(stats[1], 0.5 * means[0], rtol=1e-5)
    np.testing.assert_allclose(stats[2], 0.5 * stats[1] + 0.5 * means[1], rtol=1e-5)
    kernels = [state.model["params"]["linear"]["kernel"] for state in states]
    average = 0.1 * kernels[0] + 0.9 * kernels[1]  # the share of the past grows from 1/10
    average = 2 / 11 * average + 9 / 11 * kernels[2]
    assert_close(states[2].tested["params"]["linear"]["kernel"], average, rtol=1e-5, atol=1e-7)
    assert states[2].tested is states[2].average


def test_dropout_follows_from_key_and_step(batches):
    def make(rngs):
        return Linear(rngs, before=nnx.Dropout(0.5, rngs=rngs))

    same = [batches[0]] * 2
    one, measured = steps(make, PLAIN, same, optimizer=optax.sgd(0.0))
    other, again = steps(make, PLAIN, same, optimizer=optax.sgd(0.0))
    np.testing.assert_array_equal(measured, again)
    assert measured[0].loss != measured[1].loss  # another draw in the next step
    network, images = Network(make), scale(same[0][0])
    logits, _ = network.apply(one[0].model, images)
    np.testing.assert_array_equal(logits, network.apply(one[0].model, images)[0])


def test_masks_count_their_pixels_but_for_those_without_a_class(rng):
    images = rng.integers(0, 256, (4, 6, 5, 1)).astype(np.uint8)
    targets = rng.integers(0, 3, (4, 6, 5)).astype(np.uint8)
    targets[0] = 255

    def make(rngs):
        return nnx.Conv(1, 3, (1, 1), rngs=rngs)

    states, (metrics,) = steps(make, PLAIN, [(images, targets)])
    logits = np.asarray(Network(make).apply(states[0].model, scale(images[1:]))[0], np.float64)
    losses = -np.take_along_axis(log_softmax(logits, -1), targets[1:, ..., None].astype(int), -1)
    np.testing.assert_allclose(metrics.loss, losses.mean(), rtol=1e-5)
    right = (logits.argmax(-1) == targets[1:]).mean()
    np.testing.assert_allclose(metrics.accuracy, right, rtol=1e-5)


def test_half_precision_keeps_parameters_in_float32(batches):
    def make(rngs):
        return nnx.Sequential(
            lambda x: x.reshape(8, -1), nnx.Linear(30, 3, dtype="bfloat16", rngs=rngs)
        )

    states, (metrics,) = steps(make, PLAIN, batches[:1])
    assert {leaf.dtype for leaf in jax.tree.leaves(states[1].model)} == {np.dtype("float32")}
    assert metrics.loss.dtype == np.float32
