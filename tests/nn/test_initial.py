"""Initial parameters: the same bits as Flax's, by one program for all shapes, wherever built."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import nn
from jaxcnn._modules import initial
from tests.models.networks import NETWORKS

SEVERAL = (89, 2 * (1 << initial.BITS) // 89)  # two parts, the second not full
CALLS = (5, ((initial.PARTS + 2) << initial.BITS) // 5)  # two calls, the second of a few parts
OURS = {
    "lecun": initial.variance_scaling(1.0, "fan_in", "truncated_normal"),
    "he": initial.variance_scaling(2.0, "fan_out", "normal"),
    "even": initial.variance_scaling(1 / 3, "fan_in", "uniform"),
    "normal": initial.normal(0.02),
    "cut": initial.truncated_normal(0.01),
    "bounds": initial.uniform(-0.3, 0.7),
    "ones": initial.ones,
}
FLAX = {
    "lecun": nnx.initializers.lecun_normal(),
    "he": nnx.initializers.variance_scaling(2.0, "fan_out", "normal"),
    "even": nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
    "normal": nnx.initializers.normal(0.02),
    "cut": nnx.initializers.truncated_normal(0.01),
    "bounds": lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -0.3, 0.7),
    "ones": nnx.initializers.ones,
}
KINDS = [(name, jnp.float32) for name in OURS if name != "cut"]
KINDS += [("lecun", jnp.bfloat16), ("he", jnp.float64)]
# Flax draws it between -2.0 and 2.0, ours between -2 and 2, which is rounded alike but by JAX 0.10
# under the suite's flags.
KINDS.append(pytest.param("cut", jnp.float32, marks=pytest.mark.as_users_run))


@pytest.mark.parametrize("name, dtype", KINDS)
def test_bits_are_those_of_flax(name, dtype):
    key = jax.random.key(3)
    ours, flax = (named[name](key, SEVERAL, dtype) for named in (OURS, FLAX))
    np.testing.assert_array_equal(ours, flax)
    assert (ours.dtype, ours.weak_type) == (flax.dtype, flax.weak_type)


def test_bits_where_several_calls_draw():
    key = jax.random.key(11)
    ours, flax = (named["lecun"](key, CALLS, jnp.float32) for named in (OURS, FLAX))
    np.testing.assert_array_equal(ours, flax)


# Of the networks when initialisers of Flax drew them, by seed 3: the sum of each array's first 999
# numbers times the cosines of 0, 1, 2, ....
SUMS = {
    "AlexNet": -4.916413,
    "CifarResNet": 10.249223,
    "CifarSpeedNet": -2.036967,
    "ConvNeXtTiny": 0.234334,
    "DenseNet": 6.218770,
    "DilatedContext": 0.827580,
    "EfficientNetB0": 11.480069,
    "GoogLeNet": 39.672929,
    "LeNet5": -1.748781,
    "LeNet5Classic": -0.795355,
    "MobileNetV2": 33.205442,
    "PatternCNN": -5.923908,
    "RegNet": 19.273441,
    "ResNet": 29.427731,
    "SimpleCNN": 10.051049,
    "SqueezeNet": -14.365331,
    "UNet": 12.688402,
    "VGG": 10.976049,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_start_as_with_initialisers_of_flax(name, plain_promotion):
    model = NETWORKS[name][0](rngs=nnx.Rngs(7, params=3))
    total = 0.0
    for leaf in jax.tree.leaves(nnx.state(model, nnx.Not(nnx.RngState))):
        values = np.asarray(leaf).ravel()[:999].astype(np.float64)
        total += values @ np.cos(np.arange(values.size))
    np.testing.assert_allclose(total, SUMS[name], atol=2e-5)  # rounding differs between versions


def test_another_shape_compiles_nothing():
    programs = []
    layer = functools.partial(nn.Conv, use_bias=False)
    layer(1, 2, (3, 3), rngs=nnx.Rngs(0))
    listener = lambda event, duration, **_: programs.append(event)  # noqa: E731
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        layer(7, 5, (9, 4), rngs=nnx.Rngs(1))
        assert not programs
        FLAX["he"](jax.random.key(0), (7, 3), jnp.float32)
        assert programs
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)


def build(rngs):
    return nn.ConvBlock(3, 4, (3, 5), norm=None, rngs=rngs)


def test_the_same_within_jit_and_as_shapes():
    rngs, inner = nnx.Rngs(5), nnx.Rngs(5)
    eager = build(rngs)
    mesh = jax.make_mesh((1,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))

    @nnx.jit
    def placed(rngs):
        model = build(rngs)
        sharding = jax.NamedSharding(mesh, jax.P(None, None, None, "rows"))
        kernel = jax.lax.with_sharding_constraint(model.conv.kernel[...], sharding)
        model.conv.kernel[...] = kernel
        return model

    model = placed(inner)
    assert isinstance(model.conv.kernel[...].sharding, jax.NamedSharding)
    np.testing.assert_allclose(model.conv.kernel[...], eager.conv.kernel[...], rtol=1e-6)
    assert int(inner.params.count[...]) == int(rngs.params.count[...]) == 2
    shapes = nnx.state(nnx.eval_shape(lambda: build(nnx.Rngs(5))))
    assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, nnx.state(eager))


def test_what_is_unusual_is_left_to_flax():
    kernel = functools.partial(OURS["he"], shape=(2, 3), dtype=jnp.float32)
    expected = kernel(jax.random.key(1))
    device = jax.devices()[-1]
    there = kernel(jax.device_put(jax.random.key(1), device))
    assert there.committed and not expected.committed
    several = jax.vmap(kernel)(jax.random.split(jax.random.key(0), 2))
    assert several.shape == (2, 2, 3) and np.any(several[0] != several[1])
    with jax.set_mesh(jax.make_mesh((1,), ("rows",))):
        meshed = kernel(jax.random.key(1))
    assert isinstance(meshed.sharding, jax.NamedSharding)
    for same in (there, meshed, kernel(jax.random.PRNGKey(1))):
        np.testing.assert_array_equal(same, expected)
    other = kernel(jax.random.key(1, impl="rbg"))
    assert other.shape == (2, 3) and np.any(other != expected)
    assert OURS["normal"](jax.random.key(1), (0, 3), jnp.float32).shape == (0, 3)
    assert jnp.iscomplexobj(OURS["lecun"](jax.random.key(1), (2, 3), jnp.complex64))
