"""Convolutions without a counterpart in Flax: parameters, one call, checks when built."""

import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import functional as F
from jaxcnn import nn
from tests.nn.initializers import drawn

OPTIONS = dict(strides=(2, 1), padding=((1, 0), (2, 1)), kernel_dilation=(1, 2))
SIZE, SHAPE = (3, 2), (2, 5, 6, 4)


def depthwise(layer, x):
    return F.depthwise_conv(x, layer.kernel[...], layer.bias[...], **OPTIONS)


def separable(layer, x):
    kernels = layer.depthwise_kernel[...], layer.pointwise_kernel[...]
    return F.separable_conv(x, *kernels, layer.bias[...], **OPTIONS)


def local(layer, x):
    return F.conv_local(x, layer.kernel[...], layer.bias[...], **OPTIONS)


def deform(layer, x):
    moves = F.conv(x, layer.offsets.kernel[...], layer.offsets.bias[...], **OPTIONS)
    return F.deform_conv(
        x,
        layer.kernel[...],
        moves[..., :24],
        bias=layer.bias[...],
        mask=jax.nn.sigmoid(moves[..., 24:]),
        feature_group_count=2,
        offset_group_count=2,
        **OPTIONS,
    )


BUILD = {
    "DepthwiseConv": (functools.partial(nn.DepthwiseConv, 4, multiplier=2), depthwise),
    "SeparableConv": (
        functools.partial(nn.SeparableConv, 4, out_features=6, multiplier=2),
        separable,
    ),
    "ConvLocal": (functools.partial(nn.ConvLocal, 4, 6, input_shape=(5, 6)), local),
    "DeformConv": (
        functools.partial(nn.DeformConv, 4, 6, feature_group_count=2, offset_group_count=2),
        deform,
    ),
}
SHAPES = {
    "DepthwiseConv": dict(kernel=(3, 2, 4, 2), bias=(8,)),
    "SeparableConv": dict(depthwise_kernel=(3, 2, 4, 2), pointwise_kernel=(1, 1, 8, 6), bias=(6,)),
    "ConvLocal": dict(kernel=(2, 7, 3, 2, 4, 6), bias=(2, 7, 6)),
    "DeformConv": dict(
        kernel=(3, 2, 2, 6), bias=(6,), offsets=dict(kernel=(3, 2, 4, 36), bias=(36,))
    ),
}


@pytest.mark.parametrize("name", BUILD)
def test_one_call_with_its_own_parameters(name, rng):
    build, call = BUILD[name]
    layer = build(
        kernel_size=SIZE,
        kernel_init=drawn,
        bias_init=drawn,
        param_dtype=jnp.float64,
        rngs=nnx.Rngs(0),
        **OPTIONS,
    )
    assert jax.tree.map(jnp.shape, nnx.to_pure_dict(nnx.state(layer))) == SHAPES[name]
    if name == "DeformConv":
        offsets = layer.offsets
        assert not np.asarray(offsets.kernel).any() and not np.asarray(offsets.bias).any()
        offsets.kernel[...] = np.asarray(drawn(None, offsets.kernel.shape, float)) / 9
    inputs = jax.device_put(rng.normal(size=SHAPE))
    outputs = np.asarray(layer(inputs))
    assert outputs.shape == (2, 2, 7, layer.out_features)

    @nnx.jit
    def called_and_derived(layer, inputs):
        value_and_gradient = nnx.value_and_grad(lambda m: jnp.sum(m(inputs) ** 2))
        return call(layer, inputs), value_and_gradient(layer)

    expected, (value, gradient) = called_and_derived(layer, inputs)
    np.testing.assert_allclose(outputs, expected, rtol=1e-12)
    np.testing.assert_allclose(value, np.sum(outputs**2), rtol=1e-10)
    assert all(np.asarray(leaf).any() for leaf in jax.tree.leaves(gradient))
    copy = pickle.loads(pickle.dumps(nnx.merge(*nnx.split(layer))))
    np.testing.assert_array_equal(copy(inputs), outputs)


@pytest.mark.parametrize("name", BUILD)
def test_dtypes_and_initial_values(name):
    build, _ = BUILD[name]
    layer = build(kernel_size=SIZE, dtype=jnp.bfloat16, use_bias=False, rngs=nnx.Rngs(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(layer))} == {jnp.dtype("float32")}
    assert layer.bias is None
    kernel = layer.depthwise_kernel if name == "SeparableConv" else layer.kernel
    # Variance 1 / fan-in: 6 taps, of one channel or of all that a group has.
    fan_in = {"DepthwiseConv": 6, "SeparableConv": 6, "ConvLocal": 24, "DeformConv": 12}[name]
    count = kernel.size
    assert abs(float(np.asarray(kernel).var()) * fan_in - 1) < 5 * (2 / count) ** 0.5
    outputs = jax.eval_shape(layer, jax.ShapeDtypeStruct(SHAPE, jnp.float32))
    assert outputs.dtype == jnp.bfloat16


def test_depthwise_starts_as_a_grouped_convolution(rng):
    ours = nn.DepthwiseConv(4, SIZE, multiplier=2, param_dtype=float, rngs=nnx.Rngs(3))
    theirs = nnx.Conv(4, 8, SIZE, feature_group_count=4, param_dtype=float, rngs=nnx.Rngs(3))
    inputs = jax.device_put(rng.normal(size=SHAPE))
    expected = nnx.jit(lambda m, x: m(x))(theirs, inputs)
    np.testing.assert_allclose(ours(inputs), expected, rtol=1e-10, atol=1e-10)


def test_partial_conv_leaves_holes_out(rng):
    layer = nn.PartialConv(
        4,
        6,
        SIZE,
        feature_group_count=2,
        kernel_init=drawn,
        bias_init=drawn,
        param_dtype=jnp.float64,
        rngs=nnx.Rngs(0),
        **OPTIONS,
    )
    inputs = jax.device_put(rng.normal(size=SHAPE))
    mask = jax.device_put(rng.random(size=(2, 5, 6, 1)) < 0.4)
    outputs, known = layer(jax.device_put(np.where(mask, inputs, np.nan)), mask)
    expected = F.partial_conv(
        inputs, layer.kernel[...], mask, layer.bias[...], feature_group_count=2, **OPTIONS
    )
    np.testing.assert_allclose(outputs, expected[0], rtol=1e-12)
    np.testing.assert_array_equal(known, expected[1])
    gradient = nnx.jit(nnx.grad(lambda m: m(inputs, mask)[0].sum()))(layer)
    assert np.isfinite(np.asarray(gradient.kernel)).all()


def test_version_one_of_deform_conv_has_no_factors():
    layer = nn.DeformConv(4, 6, (3, 3), modulated=False, kernel_init=drawn, rngs=nnx.Rngs(0))
    assert layer.offsets.out_features == 18
    inputs = jax.device_put(np.ones((7, 5, 4), np.float32))
    expected = F.conv(inputs, layer.kernel[...])
    np.testing.assert_allclose(layer(inputs), expected, rtol=1e-5, atol=1e-5)


BAD = [
    ("DepthwiseConv", dict(multiplier=0), ValueError, "`multiplier` .=0. must be at least 1"),
    ("DepthwiseConv", dict(kernel_size=3), TypeError, r"`kernel_size` .=3. must be.*\(3, 3\)"),
    ("DepthwiseConv", dict(rngs=None), TypeError, "`rngs` must be flax.nnx.Rngs"),
    ("SeparableConv", dict(out_features=0), ValueError, "`out_features` .=0. must be"),
    ("SeparableConv", dict(padding="same?"), ValueError, "`padding` .='same.'. must be one of"),
    ("SeparableConv", dict(precision="sharp"), ValueError, "`precision`"),
    ("SeparableConv", dict(bias_init=0), TypeError, "`bias_init` .=0. must be a function"),
    ("ConvLocal", dict(input_shape=(5,)), ValueError, "`input_shape`.*2 spatial axes"),
    ("ConvLocal", dict(input_shape=5), TypeError, "`input_shape` .=5. must be a tuple"),
    ("ConvLocal", dict(kernel_size=(9, 9)), ValueError, "(?s)`kernel_size`.*more than the"),
    ("ConvLocal", dict(use_bias=None), TypeError, "`use_bias` .=None. must be True or False"),
    ("DeformConv", dict(padding="CIRCULAR"), ValueError, "`padding` .='CIRCULAR'. is no padding"),
    ("DeformConv", dict(offset_group_count=3), ValueError, "`offset_group_count`.*must divide"),
    ("DeformConv", dict(feature_group_count=4), ValueError, "`feature_group_count`.*out_features"),
    ("DeformConv", dict(strides=(1, 1, 1)), ValueError, "`strides`.*2 spatial axes, got 3"),
    ("DeformConv", dict(dtype=int), ValueError, "`dtype`.*must be a floating"),
    ("DeformConv", dict(kernel_dilation=0), ValueError, "`kernel_dilation`.*at least 1"),
]


@pytest.mark.parametrize("name, change, error, message", BAD)
def test_bad_options_are_refused_by_the_constructor(name, change, error, message):
    options = dict(kernel_size=SIZE, padding="VALID", rngs=nnx.Rngs(0))
    with pytest.raises(error, match=f"{name}: {message}" if "(?s)" not in message else message):
        BUILD[name][0](**{**options, **change})


def test_wrong_inputs_are_refused():
    layer = nn.ConvLocal(4, 2, (3,), (9,), kernel_init=drawn, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"ConvLocal: `inputs` must have the spatial sizes \(9,\)"):
        layer(np.ones((2, 8, 4), np.float32))
    with pytest.raises(ValueError, match="ConvLocal: `inputs` must be .* in_features = 4"):
        layer(np.ones((2, 9, 3), np.float32))
    with pytest.raises(ValueError, match="PartialConv: `feature_group_count` .=3. must divide"):
        nn.PartialConv(4, 6, (3,), feature_group_count=3, rngs=nnx.Rngs(0))
