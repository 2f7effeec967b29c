"""conv_general_dilated: what lax computes, under its signature, in Flax's layers too."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from jaxcnn import functional
from jaxcnn.lowering import choose

NHWC = ("NHWC", "HWIO", "NHWC")
X, K = np.ones((4, 7, 8, 6), np.float32), np.ones((3, 2, 6, 4), np.float32)

# lhs shape, rhs shape, positional arguments, options
CASES = {
    "1d": ((2, 9, 3), (3, 3, 4), ((2,), "SAME"), dict(dimension_numbers=("NHC", "HIO", "NHC"))),
    "2d": (
        (2, 7, 8, 4), (3, 2, 2, 6), ((2, 1), ((1, 2), (-1, 3))),
        dict(rhs_dilation=(1, 2), dimension_numbers=NHWC, feature_group_count=2),
    ),
    "2d large": (
        (2, 24, 20, 12), (3, 3, 12, 16), ((1, 2), "SAME"), dict(dimension_numbers=NHWC),
    ),
    "2d transposed": (
        (2, 4, 5, 3), (4, 3, 3, 2), ((1, 1), ((2, 2), (1, 2))),
        dict(lhs_dilation=(2, 3), dimension_numbers=NHWC, precision="highest"),
    ),
    "2d numbers": (
        (2, 7, 8, 3), (3, 2, 3, 4), ((1, 2), "SAME_LOWER"),
        dict(dimension_numbers=lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))),
    ),
    "channels first": (
        (2, 3, 7, 8), (4, 3, 3, 2), ((1, 2), ((0, 1), (2, 0))), dict(lhs_dilation=(2, 1)),
    ),
    "axes of space exchanged": (
        (2, 7, 8, 3), (3, 2, 3, 4), ((1, 2), "SAME"),
        dict(dimension_numbers=("NHWC", "WHIO", "NWHC")),
    ),
    "batch groups": (
        (4, 7, 8, 3), (3, 2, 3, 6), ((1, 2), "VALID"),
        dict(dimension_numbers=NHWC, batch_group_count=2),
    ),
    "no axis of space": ((2, 3), (3, 4), ((), ()), dict(dimension_numbers=("NC", "IO", "NC"))),
    "axes in any order": (
        (7, 4, 8, 2), (2, 3, 6, 2), ((1, 2), ((-1, 2), (3, 0))),
        dict(dimension_numbers=("HCWN", "IWOH", "CWNH"), feature_group_count=2,
             rhs_dilation=(2, 1)),
    ),
    "channels first, depthwise": (
        (2, 4, 9), (8, 1, 3), ((2,), "SAME"), dict(feature_group_count=4),
    ),
    "3d": (
        (2, 4, 3, 5, 2), (2, 1, 3, 2, 3), ((1, 2, 1), "SAME"),
        dict(dimension_numbers=("NDHWC", "DHWIO", "NDHWC")),
    ),
}  # fmt: skip


def _call(function, positional, options, lhs, rhs):
    return function(lhs, rhs, *positional, **options)


@pytest.mark.parametrize("case", CASES)
def test_is_what_lax_computes(case, rng):
    lhs_shape, rhs_shape, positional, options = CASES[case]
    lhs, rhs = rng.standard_normal(lhs_shape), rng.standard_normal(rhs_shape)
    ours, theirs = (
        functools.partial(_call, function, positional, options)
        for function in (functional.conv_general_dilated, lax.conv_general_dilated)
    )

    @jax.jit
    def run(lhs, rhs, cotangent):
        pairs = [jax.vjp(function, lhs, rhs) for function in (ours, theirs)]
        return [(outputs, *pullback(cotangent)) for outputs, pullback in pairs]

    cotangent = rng.standard_normal(jax.eval_shape(theirs, lhs, rhs).shape)
    for found, expected in zip(*run(lhs, rhs, cotangent), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-11)


def test_has_the_signature_of_lax():
    ours, theirs = (
        inspect.signature(f).parameters.values()
        for f in (functional.conv_general_dilated, lax.conv_general_dilated)
    )
    assert [(p.name, p.kind, p.default) for p in ours] == [
        (p.name, p.kind, p.default) for p in theirs
    ]


@pytest.mark.parametrize(
    "case, own",
    [("2d", True), ("2d numbers", True), ("channels first", True), ("batch groups", False)],
)
def test_the_algorithms_take_every_layout(case, own, rng, monkeypatch):
    calls, before = [], choose.conv
    monkeypatch.setattr(choose, "conv", lambda *args: calls.append(args) or before(*args))
    lhs_shape, rhs_shape, positional, options = CASES[case]
    arrays = rng.standard_normal(lhs_shape), rng.standard_normal(rhs_shape)
    plan, operands = functional.conv_general_dilated.prepare(*arrays, *positional, **options)
    plan(operands)
    assert bool(calls) == own


@pytest.mark.parametrize(
    "options",
    [dict(strides=2), dict(padding="CIRCULAR"), dict(feature_group_count=3, use_bias=False)],
)
def test_in_a_flax_layer(options, rng):
    zeros = dict(kernel_init=nnx.initializers.zeros_init(), param_dtype=jnp.float64)
    layers = [
        nnx.Conv(3, 6, (3, 3), rngs=nnx.Rngs(0), **zeros, **options, **part)
        for part in ({}, {"conv_general_dilated": functional.conv_general_dilated})
    ]
    kernel = jax.device_put(rng.standard_normal(layers[0].kernel.shape))
    for layer in layers:
        layer.kernel[...] = kernel
    inputs = rng.standard_normal((2, 3, 6, 5, 3))
    theirs, ours = nnx.jit(lambda layers, x: [layer(x) for layer in layers])(layers, inputs)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_strings_are_worked_out_on_the_dilated_input(rng):  # lax takes none beside lhs_dilation
    lhs, rhs = rng.standard_normal((2, 5, 3)), rng.standard_normal((3, 3, 2))
    options = dict(lhs_dilation=(2,), dimension_numbers=("NHC", "HIO", "NHC"))
    ours = functional.conv_general_dilated(lhs, rhs, (2,), "SAME", **options)
    theirs = lax.conv_general_dilated(lhs, rhs, (2,), [(1, 1)], **options)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_dimension_numbers_may_be_lists(rng):
    lhs, rhs = rng.standard_normal((2, 5, 3)), rng.standard_normal((3, 3, 2))
    numbers = lax.ConvDimensionNumbers([0, 2, 1], [2, 1, 0], [0, 2, 1])
    ours = functional.conv_general_dilated(lhs, rhs, [1], "SAME", dimension_numbers=numbers)
    np.testing.assert_allclose(ours, functional.conv(lhs, rhs), atol=1e-12)


def test_8_bit_integers(rng):
    lhs, rhs = rng.integers(-99, 99, (2, 6, 3), np.int8), rng.integers(-99, 99, (3, 3, 2), np.int8)
    arguments = (lhs, rhs, (1,), "SAME")
    options = dict(dimension_numbers=("NHC", "HIO", "NHC"), preferred_element_type=jnp.int32)
    ours = functional.conv_general_dilated(*arguments, **options)
    np.testing.assert_array_equal(ours, lax.conv_general_dilated(*arguments, **options))


NUMBERS = [("NHWC", "HWIO", "NHWC"), ("NCHW", "OIHW", "NCHW"), ("CWNH", "WOHI", "HNCW")]
DTYPES = ["float32", "float32", "bool", "int16", "complex64", "bfloat16"]
SIZES = dict(H=[0, 1, 5], W=[0, 3, 6], N=[0, 2, 4], I=[0, 1, 2])


def drawn(rng):
    """Arguments of `lax.conv_general_dilated`, empty axes, booleans and huge paddings included."""
    numbers, dtype = NUMBERS[rng.integers(3)], DTYPES[rng.integers(6)]
    groups, batch_groups = [(1, 1), (2, 1), (1, 2)][rng.integers(3)]
    size = {axis: int(rng.choice(sizes, p=[0.1, 0.4, 0.5])) for axis, sizes in SIZES.items()}
    size["C"], size["O"] = size["I"] * groups, 2
    taps = {**size, **{axis: int(rng.integers(1, 4)) for axis in "HW"}}
    lhs = rng.integers(-2, 3, [size[axis] for axis in numbers[0]])
    rhs = rng.integers(-2, 3, [taps[axis] for axis in numbers[1]])
    lhs, rhs = (jnp.asarray(np.asarray(a, dtype)) for a in (lhs, rhs))
    lists = rng.choice([list, tuple])
    steps = [lists(int(n) for n in rng.integers(1, 4, 2)) for _ in range(3)]
    padding = [tuple(map(np.int64, pair)) for pair in rng.integers(-2, 5, (2, 2))]
    preferred = {"bool": [None, bool, jnp.int32, jnp.float32][rng.integers(4)]}.get(dtype)
    return (
        (lhs, rhs, steps[0], padding, steps[1], steps[2]),
        (numbers, groups, batch_groups, None, preferred),
    )


def test_whatever_lax_answers():
    rng, answered = np.random.default_rng(3), 0
    while answered < 12:
        arguments, options = drawn(rng)
        try:
            shape = jax.eval_shape(
                lambda *arrays: lax.conv_general_dilated(*arrays, *arguments[2:], *options),  # noqa: B023
                *arguments[:2],
            )
        except (TypeError, ValueError):
            continue
        batch = options[0][2].index("N")
        if 0 in (*shape.shape[:batch], *shape.shape[batch + 1 :]):
            with pytest.raises(ValueError, match="conv_general_dilated: `"):
                functional.conv_general_dilated(*arguments, *options)
            continue
        ours, theirs = (
            f(*arguments, *options)
            for f in (functional.conv_general_dilated, lax.conv_general_dilated)
        )
        answered += 1
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)  # whole numbers, small ones


@pytest.mark.parametrize("shape", [(2, 5, 0, 3), (2, 5, 4, 0)])
def test_inputs_of_nothing_give_zeros_and_their_kernel_no_gradient(shape):
    rhs = jnp.full((3, 3, shape[-1], 4), jnp.nan)

    def call(lhs, rhs):
        return functional.conv_general_dilated(
            lhs, rhs, (1, 1), ((1, 1), (4, 4)), dimension_numbers=NHWC
        )

    outputs, pullback = jax.vjp(call, jnp.ones(shape), rhs)
    np.testing.assert_array_equal(outputs, np.zeros((2, 5, shape[2] + 6, 4)))
    gradients = pullback(outputs + 1)
    np.testing.assert_array_equal(gradients[1], np.zeros(rhs.shape))
    assert gradients[0].shape == shape


BAD = {
    "booleans": (
        TypeError, r"`preferred_element_type` \(='many'\) must be a dtype",
        (X > 0, K > 0, (1, 1), "SAME"), dict(preferred_element_type="many"),
    ),
    "no window": (
        ValueError, r"`lhs` must have no empty spatial axis that `padding` \(='SAME'\)",
        (X[:, :0], K, (1, 1), "SAME"), {},
    ),
    "list": (TypeError, r"`lhs` must be an array, got list", ([[1.0]], K, (1, 1), "SAME"), {}),
    "dtypes": (
        TypeError, r"must have one dtype, got int32", (X.astype("i4"), K, (1, 1), "SAME"), {}
    ),
    "axes": (
        ValueError, r"must have as many axes, .* lhs \(7, 8, 6\)", (X[0], K, (1, 1), "SAME"), {}
    ),
    "numbers": (
        ValueError, r"`dimension_numbers` .* must name each of the 4 axes once",
        (X, K, (1, 1), "SAME"), dict(dimension_numbers=("NHWC", "HWIO", "NHCC")),
    ),
    "numbers twice": (
        ValueError, r"`dimension_numbers` .* must name each of the 4 axes once",
        (X, K, (1, 1), "SAME"),
        dict(dimension_numbers=lax.ConvDimensionNumbers((0, 3, 1, 1), (3, 2, 0, 1), (0, 3, 1, 2))),
    ),
    "numbers type": (
        TypeError, r"`dimension_numbers` \(=3\) must be None", (X, K, (1, 1), "SAME"),
        dict(dimension_numbers=3),
    ),
    "channels": (ValueError, r"= 6 input features, got 5", (X, K[:, :, :5], (1, 1), "SAME"), {}),
    "empty": (ValueError, r"`rhs` must have no empty axis of taps", (X, K[:0], (1, 1), "SAME"), {}),
    "groups": (
        ValueError, r"`feature_group_count` \(=4\) must divide the lhs features \(=6\)",
        (X, K, (1, 1), "SAME"), dict(feature_group_count=4),
    ),
    "batch groups": (
        ValueError, r"`batch_group_count` \(=3\) must divide the lhs batch \(=4\)",
        (X, K, (1, 1), "SAME"), dict(batch_group_count=3),
    ),
    "both groups": (
        ValueError, r"`batch_group_count` \(=2\) must be 1 beside", (X, K, (1, 1), "SAME"),
        dict(batch_group_count=2, feature_group_count=2),
    ),
    "strides": (ValueError, r"`window_strides` .* got 1", (X, K, (1,), "SAME"), {}),
    "stride 0": (ValueError, r"`window_strides` \(=0\)", (X, K, (0, 1), "SAME"), {}),
    "rhs dilation": (
        ValueError, r"`rhs_dilation` \(=0\)", (X, K, (1, 1), "SAME"), dict(rhs_dilation=(1, 0))
    ),
    "lhs dilation": (
        TypeError, r"`lhs_dilation` \(='2'\)", (X, K, (1, 1), "SAME"), dict(lhs_dilation="2")
    ),
    "padding": (ValueError, r"`padding` \(='SOME'\)", (X, K, (1, 1), "SOME"), {}),
    "too large": (
        ValueError, r"`rhs` \(=\(3, 2\)\) spans 9 pixels along spatial axis 0",
        (X, K, (1, 1), "VALID"), dict(rhs_dilation=(4, 1)),
    ),
    "8 bit": (
        ValueError, r"`preferred_element_type` \(=None\) must be given for int8",
        (X.astype("i1"), K.astype("i1"), (1, 1), "SAME"), {},
    ),
    "precision": (
        ValueError, r"`precision` \(='most'\)", (X, K, (1, 1), "SAME"), dict(precision="most")
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(case):
    kind, message, args, options = BAD[case]
    with pytest.raises(kind, match=r"conv_general_dilated: .*" + message):
        functional.conv_general_dilated(*args, **{"dimension_numbers": NHWC, **options})
