"""Networks that compute their inner values anew do, under everything, what the others do."""

import functools
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import errors, nnx

from jaxcnn import nn, visualize
from tests.models.networks import NETWORKS, REMAT

CLOSE = dict(rtol=1e-4, atol=1e-5)  # float32 sums in another order


class Small(nnx.Module):
    """Statistics and dropout inside of what is computed anew."""

    def __init__(self, *, remat=False, rngs):
        layers = {
            name: nn.Chain(
                conv=nn.ConvBlock(3, 3, (3,) * 2, activation="tanh", rngs=rngs),
                dropout=nnx.Dropout(0.4, rngs=rngs),
                last=nn.Conv(3, 3, (1, 1), rngs=rngs),
            )
            for name in ("block1", "block2")
        }
        self.features = nn.Chain(**layers)
        self.features.remat = remat
        self.pool = nn.GlobalAvgPool(spatial_axes=(-3, -2))

    def __call__(self, inputs):
        return self.pool(self.features(inputs))


def under(model, images):
    """What each transformation makes of a model that is closed over."""

    def call(x):
        return model(x)

    first = images[:1]
    return {
        "jit": jax.jit(call)(images),
        "vmap": jax.vmap(call)(images[:, None]),
        "scan": jax.lax.scan(lambda carry, x: (carry, call(x)), 0, images[:, None])[1],
        "cond": jax.lax.cond(images.sum() < jnp.inf, call, lambda x: call(-x), images),
        "jvp": jax.jvp(call, (first,), (first,)),
        "grad": jax.grad(lambda x: jax.checkpoint(call)(x).sum())(first),
    }


def held(model):
    """Every array of the model by its path, the very objects, and its structure."""
    flat = nnx.to_flat_state(nnx.state(model))
    return {path: jax.tree.leaves(leaf) for path, leaf in flat}, nnx.graphdef(model)


def assert_untouched(model, before):
    (old, old_graph), (new, graph) = before, held(model)
    assert graph == old_graph and new.keys() == old.keys()
    assert all(a is b for path in old for a, b in zip(old[path], new[path], strict=True))


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(3)
    return lambda *shape: jax.device_put(rng.normal(size=(2, *shape)).astype(np.float32))


# One of blocks, one with draws, one with skips across levels; the others are chains of the same.
TRANSFORMED = ("CifarResNet", "ConvNeXtTiny", "UNet")


@pytest.mark.parametrize("name", REMAT)
def test_every_network_can_be_closed_over(name, filled, images):
    """Traced and not compiled: the shapes are right, and nothing is written into the network."""
    build, shape = REMAT[name]
    model, x = filled(build), images(*shape)
    before = held(model)
    for network in (filled(NETWORKS[name][0]), model):  # both complain: it can't write from there
        with pytest.raises(errors.TraceContextError, match="Cannot mutate"):
            jax.eval_shape(lambda x, network=network: network(x), x)
    assert_untouched(model, before)

    model.eval()
    before = held(model)
    exported = jax.export.export(jax.jit(lambda x: model(x)))(x)
    (out,) = exported.out_avals
    assert out.shape == ((2, *shape[:2], 3) if name in ("UNet", "DilatedContext") else (2, 3))
    assert_untouched(model, before)
    if name not in TRANSFORMED:
        return
    traced, found = jax.make_jaxpr(functools.partial(under, model), return_shape=True)(x)
    assert "remat" in str(traced)
    one, one_by_one = (1, *out.shape[1:]), (2, 1, *out.shape[1:])
    assert jax.tree.map(jnp.shape, found) == {
        "jit": out.shape,
        "vmap": one_by_one,
        "scan": one_by_one,
        "cond": out.shape,
        "jvp": (one, one),
        "grad": (1, *shape),
    }
    assert_untouched(model, before)


def test_values_are_those_without(filled, images):
    model, plain = filled(functools.partial(Small, remat=True)), filled(Small)
    for network in (model, plain):
        network.eval()
    before, x = held(model), images(5, 4, 3)
    found, expected = (jax.jit(functools.partial(under, network))(x) for network in (model, plain))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **CLOSE), found, expected)
    np.testing.assert_array_equal(nnx.jit(model)(x), nnx.jit(plain)(x))
    pictures = [visualize.saliency(network, x[0]) for network in (model, plain)]
    drawn = [picture.axes[0].images[0].get_array() for picture in pictures]
    np.testing.assert_allclose(*drawn, **CLOSE)
    assert_untouched(model, before)


def test_training_is_that_without(filled, images):
    """Parameters, statistics, keys and counts after three steps, bit by bit but for the sums."""
    x = images(5, 4, 3)

    @nnx.jit
    def step(model, x):
        value, slopes = nnx.value_and_grad(lambda m: jnp.mean(jnp.square(m(x) - 1)))(model)
        moved = jax.tree.map(lambda p, g: p - 0.1 * g, nnx.state(model, nnx.Param), slopes)
        nnx.update(model, moved)
        return value

    results = []
    for remat in (False, True):
        model = filled(functools.partial(Small, remat=remat))
        losses = [step(model, x) for _ in range(3)]
        counts, keys, rest = nnx.state(model, nnx.RngCount, nnx.RngKey, ...)
        keys = jax.tree.map(jax.random.key_data, keys)
        results.append(jax.device_get((losses, rest, counts, keys)))
        assert {int(count) for count in jax.tree.leaves(counts)} == {3}
    assert results[0][0][2] < results[0][0][0]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, **CLOSE), *results)


@pytest.mark.skipif(
    version("jaxlib").startswith("0.10."),
    reason="there XLA for CPUs finds what is computed twice and keeps it, for any jax.checkpoint",
)
def test_the_gradient_takes_less_memory(rng):
    def memory(remat):
        layers = {
            name: nn.Chain(
                conv1=nn.Conv(6, 6, (3, 3), rngs=nnx.Rngs(0)),
                tanh=nn.Activation("tanh"),
                conv2=nn.Conv(6, 6, (3, 3), rngs=nnx.Rngs(0)),
                sine=nn.Activation(jnp.sin),
            )
            for name in "abcdef"
        }
        chain = nn.Chain(**layers)
        chain.remat = remat
        gradient = jax.jit(jax.grad(lambda x: jnp.square(chain(x)).sum()))
        return gradient.lower(images).compile().memory_analysis().temp_size_in_bytes

    images = jax.device_put(rng.normal(size=(8, 24, 32, 6)).astype(np.float32))
    assert memory(True) < 0.7 * memory(False)


def test_an_error_within_a_layer_leaves_the_model_as_it_was(filled, images):
    model, x = filled(functools.partial(Small, remat=True)), images(5, 4, 3)
    conv = model.features.block2.last
    model.features.block2.last = nn.Conv(2, 3, (1, 1), rngs=nnx.Rngs(0))
    model.eval()
    before = held(model)

    def call(x):
        return model(x)

    for run in (call, jax.jit(call), nnx.jit(model), jax.grad(lambda x: call(x).sum())):
        with pytest.raises(ValueError, match="Conv: `inputs` must be .* in_features = 2"):
            run(x)
        assert_untouched(model, before)
    model.features.block2.last = conv
    assert jax.eval_shape(call, x).shape == (2, 3)


def test_what_a_layer_sows_comes_out():
    class Sowing(nnx.Module):
        def __call__(self, x):
            self.sow(nnx.Intermediate, "seen", x * 2)
            return x + 1

    chain = nn.Chain(first=Sowing(), second=Sowing())
    chain.remat = True
    outputs, seen = nnx.capture(chain, nnx.Intermediate)(jnp.zeros(()))
    assert outputs == 2
    assert [float(leaf) for leaf in jax.tree.leaves(seen)] == [0, 2]


def test_variables_may_be_references(filled, images):
    """Of `nnx.var_defaults(ref=True)`: what changed is written into them, and they stay."""
    x = images(5, 4, 3)
    results = []
    for remat in (False, True):
        with nnx.var_defaults(ref=True):
            model = Small(remat=remat, rngs=nnx.Rngs(0))
        before = jax.tree.leaves(nnx.state(model))
        value = model(x)
        assert all(a is b for a, b in zip(before, jax.tree.leaves(nnx.state(model)), strict=True))
        keys, rest = nnx.state(model, nnx.RngKey, ...)
        results.append(jax.device_get((value, jax.tree.map(lambda leaf: leaf[...], rest))))
        model.eval()
        results[-1] += (np.asarray(jax.grad(lambda x, m=model: m(x).sum())(x)),)
        counts = nnx.state(model, nnx.RngCount)
        assert {int(count[...]) for count in jax.tree.leaves(counts)} == {1}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, **CLOSE), *results)
