"""`nn.ConvTranspose` is `flax.nnx.ConvTranspose` in everything but the messages."""

import itertools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import functional, nn
from jaxcnn.lowering import choose
from tests.helpers import afresh
from tests.nn.initializers import drawn

# One program instead of one for every operation.
run = nnx.jit(lambda layer, inputs: layer(inputs))


def pair(*args, **options):
    """Ours and Flax's layer from the same seed, with a bias that isn't zero."""
    options = dict(kernel_init=drawn, bias_init=drawn, param_dtype=jnp.float64) | options
    return (
        nn.ConvTranspose(*args, rngs=nnx.Rngs(7), **options),
        nnx.ConvTranspose(*args, rngs=nnx.Rngs(7), **options),
    )


CASES = [
    # kernel_size, strides, padding, kernel_dilation, transpose_kernel, shape
    ((3,), None, "SAME", None, False, (2, 9, 3)),
    ((4, 3), (2, 3), "SAME", 1, False, (2, 5, 4, 3)),
    ((2, 3), (3, 2), "VALID", (1, 2), True, (5, 4, 3)),
    ((2, 1), 3, "SAME", 1, True, (2, 4, 5, 4, 3)),
    ((7, 4), (2, 3), (4, 2), (2, 3), False, (8, 5, 3)),
    ((4, 3), 2, ((0, 5), (3, 1)), 1, True, (2, 5, 4, 3)),
    ((3, 3), 2, 1, 1, False, (2, 5, 4, 3)),
    ((4, 3), (2, 1), "CIRCULAR", 1, True, (2, 5, 4, 3)),
    ((4, 3), (2, 1), "CIRCULAR", 1, False, (2, 5, 4, 3)),
    ((7, 4), None, "CIRCULAR", (2, 3), False, (24, 9, 3)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_outputs_equal_flax(case, rng):
    size, strides, padding, spacing, transpose_kernel, shape = case
    options = dict(padding=padding, kernel_dilation=spacing, transpose_kernel=transpose_kernel)
    ours, theirs = pair(3, 5, size, strides, **options)
    assert ours.kernel.shape == theirs.kernel.shape
    inputs = jax.device_put(rng.normal(size=shape))
    np.testing.assert_allclose(ours(inputs), run(theirs, inputs), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "padding", ["SAME", "SAME_LOWER", "VALID", "valid", "Same", "same_lower", ((-1, 2),)]
)
def test_pixels_lie_where_flax_has_them(padding, monkeypatch):
    """Both ask for a correlation with the inputs dilated by the strides: with the same zeros."""
    asked, before = [], choose.conv

    def record(inputs, kernel, problem, algorithm):
        asked.append(problem.windows)
        return before(inputs, kernel, problem, "direct")

    monkeypatch.setattr(choose, "conv", record)
    monkeypatch.setattr(functional, "conv_transpose", afresh(functional.conv_transpose))
    inputs = jax.ShapeDtypeStruct((2, 9, 1), np.float64)
    by_lax = padding not in ("SAME", "VALID") and isinstance(padding, str)
    some = (None, 1) if by_lax else (None, 2, 3)  # with strides Flax refuses those
    for size, strides, spacing in itertools.product((1, 2, 3, 4, 5), some, (1, 2)):
        options = dict(kernel_dilation=spacing, transpose_kernel=size + (strides or 1) < 5)
        ours, theirs = pair(1, 1, (size,), strides, padding=padding, **options)
        (flax,) = [
            equation.params
            for equation in jax.make_jaxpr(theirs)(inputs).eqns
            if equation.primitive.name == "conv_general_dilated"
        ]
        asked.clear()
        jax.make_jaxpr(ours)(inputs)
        (windows,) = asked
        assert windows.padding == tuple(map(tuple, flax["padding"])), (size, strides)
        assert windows.input_dilation == tuple(flax["lhs_dilation"])
        assert windows.dilation == tuple(flax["rhs_dilation"])


@pytest.mark.parametrize("use_bias, masked", [(True, False), (False, True)])
def test_same_seed_gives_the_same_state(use_bias, masked, rng):
    mask = jax.device_put(np.tril(np.ones((3, 2, 4, 5), np.float32))) if masked else None
    ours, theirs = pair(
        4,
        5,
        (3, 2),
        use_bias=use_bias,
        mask=mask,
        dtype=jnp.float32,
        param_dtype=jnp.float32,
        kernel_init=nnx.initializers.lecun_normal(),
        bias_init=nnx.initializers.normal(),
    )
    states = nnx.to_pure_dict(nnx.state(ours)), nnx.to_pure_dict(nnx.state(theirs))
    assert states[0].keys() == states[1].keys() and set(vars(ours)) == set(vars(theirs))
    jax.tree.map(np.testing.assert_array_equal, *states)
    inputs = jax.device_put(rng.normal(size=(2, 5, 6, 4)))
    got, expected = ours(inputs), run(theirs, inputs)
    assert got.dtype == expected.dtype == jnp.float32
    # Sums of 24 products of numbers near 1, in another order.
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    nnx.update(theirs, nnx.state(ours))


def test_preferred_element_type():
    options = dict(preferred_element_type=jnp.float32, use_bias=False, param_dtype=jnp.bfloat16)
    ours, theirs = pair(3, 5, (3, 3), **options)
    inputs = jnp.ones((1, 4, 4, 3), jnp.bfloat16)
    assert ours(inputs).dtype == theirs(inputs).dtype == jnp.float32


def test_amounts_are_those_of_the_dilated_input():
    sizes = {}
    for amount in (0, 1, 2):
        layer = nn.ConvTranspose(1, 1, (3,), 2, padding=amount, kernel_init=drawn, rngs=nnx.Rngs(0))
        sizes[amount] = layer(np.ones((5, 1), np.float32)).shape[0]
    assert sizes == {0: 7, 1: 9, 2: 11}


def test_it_is_the_transpose_of_the_convolution(rng):
    layer, _ = pair(3, 5, (4, 3), 2, padding="SAME", transpose_kernel=True, use_bias=False)
    inputs = jax.device_put(rng.normal(size=(2, 4, 5, 3)))
    image = jax.device_put(rng.normal(size=(2, 8, 10, 5)))
    forward = functional.conv(image, layer.kernel[...], strides=2)
    np.testing.assert_allclose(np.vdot(layer(inputs), image), np.vdot(inputs, forward), rtol=1e-12)


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
    np.testing.assert_allclose(gradient.bias[...], 2 * expected.sum((0, 1, 2)), rtol=1e-10)
    assert layer(inputs[:0]).shape == (0, *expected.shape[1:])


BAD = [
    (dict(kernel_size=3), TypeError, r"`kernel_size` \(=3\) must be a tuple.*write \(3,\)"),
    (dict(in_features=0), ValueError, "`in_features` .=0. must be at least 1"),
    (dict(out_features=2.5), ValueError, "`out_features` .=2.5. must be a whole number"),
    (dict(strides=0), ValueError, "`strides` .=0. must be at least 1"),
    (dict(kernel_dilation=(1, 2, 1)), ValueError, "`kernel_dilation`.*2 spatial axes, got 3"),
    (dict(padding="SANE"), ValueError, "`padding` .='SANE'. must be one of"),
    (
        dict(padding="valid", strides=2),
        ValueError,
        "`padding` .='valid'. must be in capitals.*write 'VALID'",
    ),
    (dict(padding=(1, 1, 1)), ValueError, "`padding`.*2 spatial axes, got 3"),
    (dict(mask=np.ones((3, 3, 8, 6))), ValueError, "`mask` must have the kernel's shape"),
    (dict(transpose_kernel=1), TypeError, "`transpose_kernel` .=1. must be True or False"),
    (dict(param_dtype=jnp.int32), ValueError, "`param_dtype` .=int32. must be a floating"),
    (dict(precision=3), TypeError, "`precision` .=3. must be None, a string"),
    (dict(bias_init=1.0), TypeError, "`bias_init`.*must be a function"),
    (dict(rngs=0), TypeError, "`rngs` must be flax.nnx.Rngs, got int"),
]


@pytest.mark.parametrize("change, error, message", BAD, ids=lambda value: str(value)[:40])
def test_wrong_arguments_are_refused_by_the_constructor(change, error, message):
    options = dict(in_features=6, out_features=8, kernel_size=(3, 3), rngs=nnx.Rngs(0))
    with pytest.raises(error, match="(?s)ConvTranspose: " + message):
        nn.ConvTranspose(**{**options, **change})


def test_wrong_inputs_are_refused():
    layer, _ = pair(3, 4, (3, 3))
    with pytest.raises(ValueError, match="ConvTranspose: `inputs` must be .* in_features = 3"):
        layer(np.ones((2, 5, 5, 4)))
