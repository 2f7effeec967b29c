"""What the tests of networks share: building without compiling, and one step of training."""

import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx


@pytest.fixture(autouse=True)
def promotion(plain_promotion):
    """Flax's batch normalisation mixes its float32 averages with 16-bit floats."""


@pytest.fixture
def filled():
    """Builds a network with parameters drawn by NumPy: a draw by JAX compiles for each shape."""
    return _filled


@pytest.fixture
def trained():
    """Trains a network one step, evaluates it, and does to it what a user may."""
    return _trained


def _filled(build):
    """The network that `build(rngs=...)` gives, He's normal kernels, streams of keys from 0."""
    graph, state = nnx.split(nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0))))

    def value(path, leaf):
        names = [str(getattr(entry, "key", getattr(entry, "name", ""))) for entry in path]
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.key(0)
        if {"var", "scale", "layer_scale"} & set(names):
            return jax.device_put(np.ones(leaf.shape, leaf.dtype))
        if "kernel" in names:
            fan_in = math.prod(leaf.shape[:-1])
            drawn = np.random.default_rng(sum(leaf.shape)).standard_normal(leaf.shape, np.float32)
            return jax.device_put((drawn * math.sqrt(2 / fan_in)).astype(leaf.dtype))
        return jax.device_put(np.zeros(leaf.shape, leaf.dtype))

    return nnx.merge(graph, jax.tree_util.tree_map_with_path(value, state))


def _trained(build, images, vmapped=True):
    """Returns the network, its logits in evaluation, and the largest entry of each gradient.

    `vmapped` compares them with those of one image at a time, which compiles the network again.
    """
    model = _filled(build)
    images = np.asarray(images, np.float32)

    @nnx.jit
    def gradient(model, images):
        def loss(model):
            scores = jax.nn.log_softmax(model(images))
            wanted = jnp.arange(scores[..., 0].size).reshape(scores.shape[:-1]) % scores.shape[-1]
            return -jnp.take_along_axis(scores, wanted[..., None], -1).mean()

        return nnx.value_and_grad(loss)(model)

    value, slopes = jax.device_get(gradient(model, images))
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in jax.tree.leaves(slopes))
    # The step itself is taken on the host: two operations a parameter are a third of the program.
    old = jax.device_get(nnx.state(model, nnx.Param))
    nnx.update(model, jax.tree.map(lambda p, g: jax.device_put(p - 0.01 * g), old, slopes))
    largest = jax.tree.map(lambda g: np.abs(g).max(), slopes)
    before = jax.tree.leaves(old)
    after = jax.device_get(jax.tree.leaves(nnx.state(model, nnx.Param)))
    moved = [np.any(a != b) for a, b in zip(before, after, strict=True)]
    assert np.mean(moved) > 0.6  # biases before normalisations and dead ReLUs stay

    model.eval()

    @nnx.jit
    def evaluate(model, images):
        one_by_one = nnx.vmap(lambda m, x: m(x), in_axes=(None, 0))
        return model(images), one_by_one(model, images) if vmapped else None

    logits, one_by_one = jax.device_get(evaluate(model, images))
    assert np.isfinite(logits).all()
    if vmapped:
        close = 1e-4 * np.abs(logits).max()  # float32 sums in another order
        np.testing.assert_allclose(one_by_one, logits, rtol=1e-3, atol=close)
    copy = pickle.loads(pickle.dumps(nnx.merge(*nnx.split(model))))
    assert repr(copy).startswith(type(model).__name__)
    jax.tree.map(
        np.testing.assert_array_equal, nnx.state(model, nnx.Param), nnx.state(copy, nnx.Param)
    )
    return model, logits, largest
