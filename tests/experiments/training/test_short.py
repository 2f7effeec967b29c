"""Short trainings: what they learn, what they keep, and what is watched."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from experiments.training import short
from jaxcnn import nn

pytestmark = pytest.mark.usefixtures("plain_jax")


def bright_or_dark(rng):
    labels = rng.integers(0, 2, 40).astype(np.int32)
    noise = rng.integers(0, 60, (40, 4, 5, 1))
    return (noise + 190 * labels[:, None, None, None]).astype(np.uint8), labels


class Normalised(nnx.Module):
    def __init__(self, rngs):
        self.norm = nnx.BatchNorm(1, momentum=0.5, rngs=rngs)
        self.rest = nn.Chain(flat=nn.Flatten(), fc=nnx.Linear(20, 2, rngs=rngs))

    def __call__(self, x):
        return self.rest(self.norm(x))


def test_a_network_learns_and_its_averages_are_kept(rng):
    images, labels = bright_or_dark(rng)
    network, losses, seen = short.learn(
        Normalised, images, labels, optax.adam(0.05), steps=30, batch_size=16,
        watch=lambda network, batch: {"mean": batch.mean(), "size": jnp.asarray(len(batch))},
    )  # fmt: skip
    assert losses.shape == seen["mean"].shape == (30,) and set(seen["size"]) == {16}
    assert losses[-1] < 0.2 * losses[0] and 0 < seen["mean"].min() < seen["mean"].max() < 1
    assert network.norm.use_running_average and 0.3 < float(network.norm.mean[0]) < 0.7
    assert short.accuracy(network, images, labels) == 1
    assert short.accuracy(network, images, 1 - labels) == 0
    again, same, _ = short.learn(
        Normalised, images, labels, optax.adam(0.05), steps=30, batch_size=16
    )
    np.testing.assert_array_equal(same, losses)


def test_edges_are_found_where_they_are():
    image = jnp.zeros((6, 6, 1)).at[3:].set(1.0)
    top = np.array([[[-1, -1, -1], [0, 0, 0], [1, 1, 1]]], np.float32)
    found = short.edges(image, np.concatenate([top, top.swapaxes(1, 2)]))
    np.testing.assert_array_equal(found[:, 2, 0], [0, 0, 3, 3, 0, -3])
    np.testing.assert_array_equal(found[1:-1, 1:-1, 1], 0)
