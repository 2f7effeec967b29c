"""`nn.Conv` is `flax.nnx.Conv` in everything but the messages."""

import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from jaxcnn import nn
from tests.nn.initializers import drawn

# One program instead of one for every operation.
run = nnx.jit(lambda layer, inputs: layer(inputs))


def pair(*args, **options):
    """Ours and Flax's layer from the same seed, with a bias that isn't zero."""
    options = dict(kernel_init=drawn, bias_init=drawn, param_dtype=jnp.float64) | options
    return (
        nn.Conv(*args, rngs=nnx.Rngs(7), **options),
        nnx.Conv(*args, rngs=nnx.Rngs(7), **options),
    )


def same(ours, theirs, shape, rng, tolerance=1e-10):
    """Asserts equal outputs on the inputs drawn."""
    inputs = jax.device_put(rng.normal(size=shape))
    got, expected = ours(inputs), run(theirs, inputs)
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


CASES = [
    # kernel_size, strides, padding, input_dilation, kernel_dilation, groups, shape
    ((3,), 1, "SAME", 1, 1, 1, (2, 9, 4)),
    ((3,), 2, "CAUSAL", 1, 2, 1, (2, 9, 4)),
    ((4, 3), None, "SAME_LOWER", None, None, 1, (9, 8, 4)),
    ((4, 3), (2, 3), ((3, 2), (0, 1)), (2, 3), (2, 1), 4, (3, 1, 2, 9, 8, 4)),
    ((4, 3), 2, "CIRCULAR", 1, 1, 2, (2, 5, 8, 4)),
    ((4, 3), 1, "REFLECT", 1, (1, 2), 1, (5, 8, 4)),
    ((7, 4), (2, 3), (4, 2), (2, 3), (2, 3), 1, (24, 9, 4)),
    ((4, 3), 1, [(1, 0), 2], 1, 1, 1, (2, 5, 8, 4)),
    ((4, 3), 1, ((-1, 2), (3, -2)), 1, 1, 1, (2, 7, 8, 4)),
    ((2, 3, 1), 1, 2, 1, 1, 1, (2, 4, 5, 3, 4)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_outputs_equal_flax(case, rng):
    size, strides, padding, dilation, spacing, groups, shape = case
    ours, theirs = pair(
        4,
        8,
        size,
        strides,
        padding=padding,
        input_dilation=dilation,
        kernel_dilation=spacing,
        feature_group_count=groups,
    )
    same(ours, theirs, shape, rng)


@pytest.mark.parametrize("use_bias, masked", [(True, False), (False, True)])
def test_same_seed_gives_the_same_state(use_bias, masked, rng):
    mask = jax.device_put(np.tril(np.ones((3, 2, 6, 5), np.float32))) if masked else None
    ours, theirs = pair(
        6,
        5 if masked else 10,
        (3, 2),
        use_bias=use_bias,
        mask=mask,
        feature_group_count=2 - masked,
        param_dtype=jnp.float32,
        kernel_init=nnx.initializers.lecun_normal(),
        bias_init=nnx.initializers.normal(),
    )
    states = nnx.to_pure_dict(nnx.state(ours)), nnx.to_pure_dict(nnx.state(theirs))
    assert states[0].keys() == states[1].keys()
    jax.tree.map(np.testing.assert_array_equal, *states)
    assert set(vars(ours)) == set(vars(theirs))
    inputs = jax.device_put(rng.normal(size=(2, 5, 6, ours.in_features)).astype(np.float32))
    np.testing.assert_allclose(ours(inputs), run(theirs, inputs), rtol=1e-5, atol=1e-5)


def test_a_checkpoint_of_flax_loads(rng):
    theirs = nnx.Conv(3, 5, (3, 2), param_dtype=jnp.float64, rngs=nnx.Rngs(1))
    ours = nn.Conv(3, 5, (3, 2), param_dtype=jnp.float64, rngs=nnx.Rngs(2))
    nnx.update(ours, nnx.state(theirs))
    same(ours, theirs, (2, 6, 7, 3), rng)
    assert isinstance(ours, nnx.Conv)


@pytest.mark.parametrize(
    "dtype, param_dtype, inputs",
    [
        (None, jnp.float32, jnp.float32),
        (jnp.bfloat16, jnp.float32, jnp.float32),
        (None, jnp.complex64, jnp.complex64),
        (jnp.float32, jnp.float32, jnp.int32),
    ],
)
def test_dtypes_are_promoted_as_by_flax(dtype, param_dtype, inputs, rng):
    ours, theirs = pair(3, 5, (3, 3), dtype=dtype, param_dtype=param_dtype)
    array = jax.device_put((rng.normal(size=(2, 6, 7, 3)) * 4).astype(inputs))
    got, expected = ours(array), run(theirs, array)
    assert got.dtype == expected.dtype == (dtype or param_dtype)
    # Half a unit in the last place of sums of 27 products, whose order may differ.
    tolerance = 8 * float(jnp.finfo(got.dtype).eps)
    got, expected = (np.asarray(outputs).astype(np.complex128) for outputs in (got, expected))
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def test_preferred_element_type():
    options = dict(preferred_element_type=jnp.float32, use_bias=False, param_dtype=jnp.bfloat16)
    ours, theirs = pair(3, 5, (3, 3), **options)
    inputs = jnp.ones((1, 4, 4, 3), jnp.bfloat16)
    assert ours(inputs).dtype == theirs(inputs).dtype == jnp.float32


def test_another_convolution_is_called_as_by_flax(rng):
    calls = []

    def doubled(*args, **options):
        calls.append((args[2:], options))
        return 2 * lax.conv_general_dilated(*args, **options)

    ours, theirs = pair(3, 4, (3, 2), 2, padding="same", conv_general_dilated=doubled)
    theirs.padding = "SAME"
    same(ours, theirs, (2, 3, 5, 6, 3), rng)
    assert calls[0] == calls[1]


def test_out_sharding_goes_to_lax(rng):
    ours, theirs = pair(3, 4, (3, 2))
    inputs = jax.device_put(rng.normal(size=(2, 5, 6, 3)))
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    with jax.set_mesh(mesh):
        spec = jax.sharding.PartitionSpec("data")
        np.testing.assert_allclose(ours(inputs, spec), theirs(inputs, out_sharding=spec))


def test_no_amount_is_negative_under_out_sharding():
    ours, _ = pair(3, 4, (3, 2), padding=((-1, 1), (4, -2)))
    inputs = jax.ShapeDtypeStruct((2, 5, 6, 3), np.float64)
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    with jax.set_mesh(mesh):
        spec = jax.sharding.PartitionSpec("data")
        found = jax.jit(lambda x: jax.vjp(lambda x: ours(x, spec), x)[1](ours(x, spec)))
        text = found.lower(inputs).as_text()
    windows = re.findall(r"pad = \[.*?\]\]", text)
    assert windows and not any("-" in window for window in windows)


def test_metadata_and_initialisers():
    layer = nn.Conv(
        2,
        3,
        (2, 2),
        kernel_init=nnx.initializers.ones,
        bias_init=nnx.initializers.constant(2.0),
        kernel_metadata={"tag": "kernel"},
        bias_metadata={"tag": "bias"},
        rngs=nnx.Rngs(0),
    )
    assert layer.kernel.get_metadata()["tag"] == "kernel"
    assert layer.bias.get_metadata()["tag"] == "bias"
    np.testing.assert_array_equal(layer(np.ones((1, 2, 2, 2), np.float32))[0, 0, 0], 10.0)


def test_transformations(rng):
    layer, _ = pair(2, 3, [3, 2], [2, 1], padding=[(1, 0), (0, 1)])
    inputs = jax.device_put(rng.normal(size=(4, 5, 6, 2)))
    expected = np.asarray(layer(inputs))
    np.testing.assert_allclose(run(layer, inputs), expected, atol=1e-12)
    np.testing.assert_allclose(jax.jit(jax.vmap(layer))(inputs), expected, atol=1e-12)
    graph, state = nnx.split(layer)
    np.testing.assert_array_equal(nnx.merge(graph, state)(inputs), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(layer))(inputs), expected)
    gradient = nnx.jit(nnx.grad(lambda m: jnp.sum(m(inputs) ** 2)))(layer)
    assert gradient.kernel.shape == layer.kernel.shape
    np.testing.assert_allclose(gradient.bias[...], 2 * expected.sum((0, 1, 2)), rtol=1e-10)
    stacked = nnx.vmap(lambda rngs: nn.Conv(2, 3, (3, 2), rngs=rngs))(nnx.Rngs(0).split(4))
    assert stacked.kernel.shape == (4, 3, 2, 2, 3)
    assert layer(inputs[:0]).shape == (0, 2, 6, 3)
    assert "padding=((1, 0), (0, 1))" in repr(layer)


BAD = [
    (dict(kernel_size=3), TypeError, r"Conv: `kernel_size` \(=3\) must be a tuple.*write \(3,\)"),
    (dict(kernel_size=()), ValueError, "`kernel_size`.*at least one spatial axis"),
    (dict(kernel_size=(3, 0)), ValueError, "`kernel_size` .=0. must be at least 1"),
    (dict(kernel_size=(3, 2.5)), ValueError, "`kernel_size`.*whole number"),
    (dict(in_features=0), ValueError, "`in_features` .=0. must be at least 1"),
    (dict(out_features="8"), TypeError, "`out_features` .='8'. must be an int"),
    (dict(feature_group_count=4), ValueError, "`feature_group_count` .=4. must divide `in_feat"),
    (dict(feature_group_count=3), ValueError, "`feature_group_count` .=3. must divide `out_feat"),
    (dict(strides=0), ValueError, "`strides` .=0. must be at least 1"),
    (dict(strides=(1, 2, 1)), ValueError, "`strides`.*2 spatial axes, got 3"),
    (dict(kernel_dilation=True), TypeError, "`kernel_dilation` .=True. must be an int"),
    (dict(input_dilation=(1, -1)), ValueError, "`input_dilation` .=-1. must be at least 1"),
    (dict(padding="SANE"), ValueError, "`padding` .='SANE'. must be one of"),
    (dict(padding="CAUSAL"), ValueError, "`padding` .='CAUSAL'. needs exactly one spatial axis"),
    (dict(padding=(1, 1, 1)), ValueError, "`padding`.*2 spatial axes, got 3"),
    (dict(padding=((1, 1), (1, 1, 1))), ValueError, "`padding`.*pairs"),
    (dict(padding=None), TypeError, "`padding` .=None. must be an int"),
    (dict(mask=np.ones((3, 3))), ValueError, "`mask` must have the kernel's shape"),
    (dict(mask=[[1]]), TypeError, "`mask` must be an array"),
    (dict(use_bias="no"), TypeError, "`use_bias`.*True or False"),
    (dict(dtype=jnp.int32), ValueError, "`dtype` .=int32. must be a floating"),
    (dict(dtype="float23"), TypeError, "`dtype`.*must be a dtype"),
    (dict(param_dtype=jnp.int32), ValueError, "`param_dtype` .=int32. must be a floating"),
    (dict(param_dtype=None), TypeError, "`param_dtype`.*must be a dtype"),
    (dict(preferred_element_type="x"), TypeError, "`preferred_element_type`.*must be a dtype"),
    (dict(precision="sharp"), ValueError, "`precision`"),
    (dict(kernel_init=1.0), TypeError, "`kernel_init`.*must be a function"),
    (dict(conv_general_dilated="fft"), TypeError, "`conv_general_dilated`.*must be a function"),
    (dict(rngs=0), TypeError, "`rngs` must be flax.nnx.Rngs, got int"),
]


@pytest.mark.parametrize("change, error, message", BAD, ids=lambda value: str(value)[:40])
def test_wrong_arguments_are_refused_by_the_constructor(change, error, message):
    options = dict(in_features=6, out_features=8, kernel_size=(3, 3), rngs=nnx.Rngs(0))
    with pytest.raises(error, match="(?s)Conv: .*" + message.removeprefix("Conv: ")):
        nn.Conv(**{**options, **change})


@pytest.mark.parametrize("shape", [(2, 5, 5, 4), (5, 3), ()])
def test_wrong_inputs_are_refused(shape):
    layer = nn.Conv(3, 4, (3, 3), kernel_init=drawn, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"Conv: `inputs` must be .* in_features = 3 channels"):
        layer(np.ones(shape))
    with pytest.raises(TypeError, match="Conv: `inputs` must be an array, got list"):
        layer([[1.0]])


def test_named_padding_with_input_dilation_is_worked_out_on_the_dilated_input(rng):
    inputs = jax.device_put(rng.normal(size=(2, 4, 5, 3)))
    layer, _ = pair(3, 4, (3, 2), input_dilation=2)
    explicit, _ = pair(3, 4, (3, 2), padding=((1, 1), (0, 1)), input_dilation=2)
    assert layer(inputs).shape == (2, 7, 9, 4)
    np.testing.assert_allclose(layer(inputs), explicit(inputs), rtol=1e-12)
    full, _ = pair(3, 4, (3, 2), padding="full")
    assert full.padding == "FULL" and full(inputs).shape == (2, 6, 6, 4)
    full.conv_general_dilated = None
    with pytest.raises(ValueError, match="Conv: `padding` .='FULL'. is unknown to"):
        full(inputs)
