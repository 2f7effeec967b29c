"""What the tests of the experiments share: prepared data and a run of a very small classifier."""

import contextlib

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from experiments.data import from_tfds
from experiments.fitting import Data, Programs


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A folder in which mnist5k is prepared."""
    folder = tmp_path_factory.mktemp("data")
    from_tfds("mnist5k", "test", folder)
    return folder


@pytest.fixture
def plain_jax():
    """JAX as the experiments find it: 32 bits and its standard promotion, on which optax relies."""
    with as_users_run():
        yield


@contextlib.contextmanager
def as_users_run():
    """For the fixtures that live longer than a test."""
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        yield


class TinyModel(nnx.Module):
    """Linear: 6 x 5 pixels to 3 classes."""

    def __init__(self, rngs: nnx.Rngs):
        self.linear = nnx.Linear(30, 3, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return self.linear(inputs.reshape(len(inputs), -1))


@pytest.fixture(scope="session")
def tiny_data():
    """Bright rows in noise: the class is the row, of 3."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, 50).astype(np.int32)
    images = rng.integers(0, 60, (50, 6, 5, 1)).astype(np.uint8)
    images[np.arange(50), 2 * labels] += 190
    split = jax.device_put(images), jax.device_put(labels)
    return Data(train=tuple(a[:40] for a in split), test=tuple(a[40:] for a in split))


@pytest.fixture(scope="session")
def tiny_programs(tiny_data):
    """Compiled for `tiny_data`, 5 steps of 8 images an epoch."""
    options = {"batch_size": 8, "shift": 1, "label_smoothing": 0.1}
    with as_users_run():
        return Programs(TinyModel, optax.adamw(0.05), tiny_data, **options)
