"""The numerics of training."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.training import (
    TrainState,
    make_epoch,
    measure,
    one_cycle,
    random_shift,
    scale,
)

pytestmark = pytest.mark.usefixtures("plain_jax")


def test_scale():
    scaled = scale(jnp.array([0, 51, 255], jnp.uint8))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [0, 0.2, 1], rtol=1e-6)


@pytest.mark.parametrize("pixels", [0, 1, 3])
def test_random_shift_moves_by_whole_pixels_and_zeros_come_in(rng, pixels):
    images = jnp.asarray(rng.integers(1, 256, (40, 7, 5, 2)), jnp.uint8)
    shifted = np.asarray(random_shift(jax.random.key(3), images, pixels))
    amounts = set()
    for before, after in zip(np.asarray(images), shifted, strict=True):
        padded = np.pad(before, ((pixels, pixels), (pixels, pixels), (0, 0)))
        found = [
            (i, j)
            for i in range(2 * pixels + 1)
            for j in range(2 * pixels + 1)
            if np.array_equal(padded[i : i + 7, j : j + 5], after)
        ]
        assert len(found) == 1
        amounts.add(found[0])
    assert len(amounts) == {0: 1, 1: 9}.get(pixels, len(amounts))
    assert shifted.dtype == np.uint8


def test_measure():
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]))
    metrics = measure(logits, jnp.array([0, 2]))
    np.testing.assert_allclose(metrics.loss, np.log(8) / 2)
    np.testing.assert_allclose(metrics.accuracy, 0.5)


def test_one_cycle_rises_and_falls():
    rates = [float(one_cycle(100, 0.5)(step)) for step in range(101)]
    assert int(np.argmax(rates)) == 30 and max(rates) == pytest.approx(0.5)
    assert rates[0] < 0.05 and rates[-1] < 1e-4


def test_epoch_is_the_steps_written_out(tiny_data, tiny_programs):
    """One image a batch, no shift: an epoch by hand, in the order that the key gives."""
    images, labels = (array[:6] for array in tiny_data.train)
    optimizer = optax.sgd(0.1)
    model = tiny_programs.initial_state(1).model
    key = jax.random.key(8)
    epoch = jax.jit(
        make_epoch(tiny_programs.graph, optimizer, batch_size=2, shift=0, label_smoothing=0.2)
    )
    state, metrics = epoch(TrainState(model, optimizer.init(model)), images, labels, key)

    order = np.asarray(jax.random.permutation(jax.random.split(key)[0], 6))
    kernel, bias = (np.asarray(model["linear"][name], np.float64) for name in ("kernel", "bias"))
    losses = []
    for rows in order.reshape(3, 2):
        inputs = np.asarray(images)[rows].reshape(2, -1) / 255
        exact = np.eye(3)[np.asarray(labels)[rows]]
        logits = inputs @ kernel + bias
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        losses.append(-np.log((probabilities * exact).sum(1)).mean())
        error = (probabilities - (0.8 * exact + 0.2 / 3)) / 2
        kernel, bias = kernel - 0.1 * inputs.T @ error, bias - 0.1 * error.sum(0)
    np.testing.assert_allclose(state.model["linear"]["kernel"], kernel, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state.model["linear"]["bias"], bias, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(metrics.loss, np.mean(losses), rtol=1e-5)
