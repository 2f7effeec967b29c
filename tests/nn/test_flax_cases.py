"""What Flax holds its two convolutions to, held against ours: its own older layers, any dtype."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from jax import lax

from jaxcnn import nn
from tests.nn.initializers import drawn

F16, B16, F32, F64 = jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64
DEFAULT, HIGH, HIGHEST = lax.Precision.DEFAULT, lax.Precision.HIGH, lax.Precision.HIGHEST
# A few units in the last place of sums of 24 products near 1, in another order.
TOLERANCE = {F16: 2e-2, B16: 1e-1, F32: 2e-5, F64: 1e-11}


# The dtypes of inputs and parameters are mixed on purpose.
pytestmark = pytest.mark.usefixtures("plain_promotion")


DRAWN = dict(kernel_init=drawn, bias_init=drawn)

# strides, padding, input dilation, kernel dilation, groups, bias, dtype, param_dtype, precision,
# masked, batch
CONV = [
    (None, "VALID", None, None, 1, True, F32, F32, DEFAULT, False, (2,)),
    ((2, 1), "SAME", None, 2, 2, False, F16, F32, HIGH, False, (2,)),
    (2, "CIRCULAR", None, (1, 2), 1, True, F64, F32, HIGHEST, True, ()),
    (1, "REFLECT", None, 1, 3, False, B16, F32, None, False, (3, 2)),
    ((1, 3), ((2, 0), (1, 3)), (2, 1), 1, 6, True, None, F64, "highest", True, (2,)),
    (3, 2, 2, (2, 1), 1, True, F32, F16, DEFAULT, False, (1, 2, 1)),
    (1, "SAME", None, (3, 1), 2, True, None, B16, HIGH, True, ()),
]


@pytest.mark.parametrize("case", CONV, ids=str)
def test_conv_equals_linen_from_the_same_parameters(case, rng):
    strides, padding, dilated, spacing, groups, bias, dtype, param_dtype, precision, mask, batch = (
        case
    )
    shape = (3, 2, 6 // groups, 12)
    options = dict(
        padding=padding,
        input_dilation=dilated,
        kernel_dilation=spacing,
        feature_group_count=groups,
        use_bias=bias,
        dtype=dtype,
        param_dtype=param_dtype,
        precision=precision,
        mask=jax.device_put(rng.integers(0, 2, shape).astype(param_dtype)) if mask else None,
    )
    ours = nn.Conv(6, 12, (3, 2), strides, rngs=nnx.Rngs(3), **DRAWN, **options)
    theirs = linen.Conv(12, (3, 2), strides, **options)
    _same(ours, theirs, rng.normal(size=(*batch, 7, 8, 6)), dtype, param_dtype, rng)


# strides, padding, kernel dilation, transposed kernel, bias, dtype, param_dtype, precision, masked,
# batch
TRANSPOSED = [
    (None, "VALID", None, False, True, F32, F32, DEFAULT, False, (2,)),
    ((2, 3), "SAME", (1, 2), False, False, F16, F32, HIGH, True, (2,)),
    (2, "CIRCULAR", None, True, True, F64, F32, HIGHEST, False, ()),
    ((1, 2), ((1, 2), (0, 3)), 2, False, True, None, F64, "high", True, (3, 2)),
    (3, 1, None, True, False, B16, F32, None, False, (1, 2, 1)),
]


@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_conv_transpose_equals_linen_from_the_same_parameters(case, rng):
    strides, padding, spacing, swapped, bias, dtype, param_dtype, precision, mask, batch = case
    shape = (3, 2, 5, 4) if swapped else (3, 2, 4, 5)
    options = dict(
        padding=padding,
        kernel_dilation=spacing,
        transpose_kernel=swapped,
        use_bias=bias,
        dtype=dtype,
        param_dtype=param_dtype,
        precision=precision,
        mask=jax.device_put(rng.integers(0, 2, shape).astype(param_dtype)) if mask else None,
    )
    ours = nn.ConvTranspose(4, 5, (3, 2), strides, rngs=nnx.Rngs(3), **DRAWN, **options)
    theirs = linen.ConvTranspose(5, (3, 2), strides, **options)
    _same(ours, theirs, rng.normal(size=(*batch, 5, 4, 4)), dtype, param_dtype, rng)


@pytest.mark.parametrize("dilation", [1, 2])
def test_a_causal_layer_sees_no_future(dilation, rng):
    options = dict(padding="CAUSAL", kernel_dilation=dilation, param_dtype=F64, **DRAWN)
    ours = nn.Conv(2, 3, (3,), rngs=nnx.Rngs(0), **options)
    inputs = rng.normal(size=(2, 9, 2))
    changed = inputs.copy()
    changed[:, 5:] = np.nan
    before, after = (np.asarray(ours(jax.device_put(x))) for x in (inputs, changed))
    np.testing.assert_allclose(after[:, :5], before[:, :5], rtol=1e-12)
    assert np.isnan(after[:, 5:]).any(-1)[:, 0].all()


@pytest.mark.parametrize("shift", [(1, 0), (3, 2)])
def test_a_circular_layer_turns_with_its_inputs(shift, rng):
    inputs = rng.normal(size=(6, 5, 2))
    for build in (nn.Conv, nn.ConvTranspose):
        layer = build(2, 3, (3, 4), padding="CIRCULAR", param_dtype=F64, rngs=nnx.Rngs(0), **DRAWN)
        turned = layer(jax.device_put(np.roll(inputs, shift, (0, 1))))
        outputs = np.asarray(layer(jax.device_put(inputs)))
        np.testing.assert_allclose(turned, np.roll(outputs, shift, (0, 1)), atol=1e-12)


def _same(ours, theirs, inputs, dtype, param_dtype, rng):
    """Asserts equal outputs and gradients, both layers with the same random parameters."""
    inputs = inputs.astype(np.float32)
    abstract = jax.eval_shape(theirs.init, jax.random.key(0), inputs)["params"]
    params = {
        name: jax.device_put(rng.normal(size=leaf.shape).astype(param_dtype))
        for name, leaf in abstract.items()
    }
    shapes = {n: v.get_value().shape for n, v in nnx.state(ours, nnx.Param).items()}
    assert shapes == {name: leaf.shape for name, leaf in params.items()}
    nnx.update(ours, {name: nnx.Param(value) for name, value in params.items()})
    graph, state, rest = nnx.split(ours, nnx.Param, ...)
    cotangent = rng.normal(size=jax.eval_shape(theirs.apply, {"params": params}, inputs).shape)

    @functools.partial(jax.jit, static_argnums=0)
    def pulled(function, *arguments):
        outputs, pullback = jax.vjp(function, *arguments)
        return outputs, pullback(jnp.asarray(cotangent, outputs.dtype))

    found = pulled(lambda s, x: nnx.merge(graph, s, rest)(x), state, inputs)
    expected = pulled(lambda p, x: theirs.apply({"params": p}, x), params, inputs)
    assert found[0].dtype == expected[0].dtype
    # Parameters of 16 bits are their own limit, whatever the products are computed in.
    limit = max(TOLERANCE[t] for t in (dtype, param_dtype, F32) if t)
    if F64 in (dtype, param_dtype) and F32 not in (dtype, param_dtype):
        limit = TOLERANCE[F64]
    pairs = [(found[0], expected[0]), (found[1][1], expected[1][1])]
    pairs += [(found[1][0][name].get_value(), expected[1][0][name]) for name in params]
    for got, wanted in pairs:
        got, wanted = (np.asarray(array, np.float64) for array in (got, wanted))
        scale = max(np.abs(wanted).max(), 1.0)
        np.testing.assert_allclose(got / scale, wanted / scale, atol=limit)
