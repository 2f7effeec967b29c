"""deform_conv: against the reference, against `conv`, at the kinks, at the borders, far outside."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference
from jaxcnn.testing import check_gradients, check_transforms
from tests.helpers import generator, value_and_gradients

# name: spatial sizes, in, out, kernel size, with mask, options
CASES = {
    "1d groups": ((9,), 6, 4, (3,), True, dict(feature_group_count=2, offset_group_count=3)),
    "1d causal": ((7,), 2, 3, (3,), False, dict(padding="CAUSAL", kernel_dilation=2)),
    "2d masked, strided": ((7, 6), 3, 2, (3, 2), True, dict(strides=(2, 1), padding=(1, 2))),
    "2d offset groups": ((5, 6), 4, 3, (3, 2), False, dict(offset_group_count=2, padding=1)),
    "2d all": (
        (6, 7),
        4,
        6,
        (3, 2),
        True,
        dict(
            strides=(1, 2),
            padding=((2, 0), (-1, 1)),
            kernel_dilation=(2, 1),
            feature_group_count=2,
            offset_group_count=4,
        ),
    ),
    "3d": ((3, 4, 3), 2, 2, (2, 1, 2), True, dict(offset_group_count=2, strides=(1, 2, 1))),
    "4d": ((3, 2, 3, 2), 1, 2, (2, 1, 2, 1), False, dict()),
    "1d large": ((480,), 12, 4, (3,), True, dict(strides=2, padding="SAME")),
}  # fmt: skip


def arrays(case: str, batch: tuple[int, ...] = (2,), dtype=np.float64, scale=1.5):
    """Arguments and options; offsets fall between pixels, some of them far outside."""
    sizes, in_features, out_features, kernel_size, masked, options = CASES[case]
    rng = generator(case)
    groups = options.get("feature_group_count", 1)
    inputs = rng.standard_normal((*batch, *sizes, in_features))
    kernel = rng.standard_normal((*kernel_size, in_features // groups, out_features))
    geometry = {k: v for k, v in options.items() if k != "offset_group_count"}
    plain = reference.conv(inputs, kernel, **({"padding": "VALID"} | geometry))
    entries = options.get("offset_group_count", 1) * int(np.prod(kernel_size))
    moves = scale * rng.standard_normal((*plain.shape[:-1], entries * len(sizes)))
    args = dict(
        inputs=inputs,
        kernel=kernel,
        offsets=moves,
        bias=rng.standard_normal(out_features),
    )
    if masked:
        args["mask"] = rng.random((*plain.shape[:-1], entries))
    return {k: np.asarray(v, dtype) for k, v in args.items()}, options, rng


def by_hand(cotangent, args, options) -> dict:
    names = "inputs", "kernel", "offsets", "bias", "mask"
    gradients = reference.deform_conv_vjp(cotangent, **args, **options)
    return {k: v for k, v in zip(names, gradients, strict=True) if v is not None}


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference_in_value_and_gradient(case):
    args, options, rng = arrays(case)
    expected = reference.deform_conv(**args, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, gradients = value_and_gradients(functional.deform_conv, cotangent, args, options)
    np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-12)
    hand = by_hand(cotangent, args, options)
    assert hand.keys() == gradients.keys()
    for name in gradients:
        np.testing.assert_allclose(gradients[name], hand[name], rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("case", ["1d causal", "2d all", "3d"])
def test_without_offsets_it_is_conv(case):
    args, options, rng = arrays(case, scale=0.0)
    args = args | {"offsets": np.zeros_like(args["offsets"])}
    if "mask" in args:
        args["mask"] = np.ones_like(args["mask"])
    geometry = {"padding": "VALID"} | options
    geometry.pop("offset_group_count", None)
    cotangent = rng.standard_normal(reference.deform_conv(**args, **options).shape)
    outputs, gradients = value_and_gradients(functional.deform_conv, cotangent, args, options)
    plain = args["inputs"], args["kernel"], args["bias"]
    np.testing.assert_allclose(outputs, reference.conv(*plain, **geometry), atol=1e-12)
    hand = reference.conv_vjp(cotangent, *plain, **geometry)
    for name, right in zip(("inputs", "kernel", "bias"), hand, strict=True):
        np.testing.assert_allclose(gradients[name], right, atol=1e-11)


def test_whole_offsets_shift_the_taps_and_the_derivative_is_the_one_from_the_right(rng):
    args, options, _ = arrays("2d all")
    for scale in (0.0, 2.0):  # no offset at all, and whole ones, out of the input too
        moved = args | {"offsets": np.round(scale * rng.standard_normal(args["offsets"].shape))}
        cotangent = rng.standard_normal(reference.deform_conv(**moved, **options).shape)
        outputs, gradients = value_and_gradients(functional.deform_conv, cotangent, moved, options)
        hand = by_hand(cotangent, moved, options)
        for name in gradients:
            np.testing.assert_allclose(gradients[name], hand[name], rtol=1e-10, atol=1e-11)
        above = moved | {"offsets": moved["offsets"] + 1e-9}
        from_right, right = value_and_gradients(functional.deform_conv, cotangent, above, options)
        np.testing.assert_allclose(outputs, from_right, atol=1e-6)
        np.testing.assert_allclose(gradients["offsets"], right["offsets"], atol=1e-6)


def test_order_of_offsets_and_mask():
    """One window, two taps per axis, two groups: each entry moves one tap of one group."""
    pixels = np.arange(1.0, 26.0).reshape(5, 5)
    inputs = np.stack([pixels, -100 * pixels], axis=-1)
    kernel = np.zeros((2, 2, 2, 1))
    run = jax.jit(functools.partial(functional.deform_conv, offset_group_count=2))
    entry = 0
    for group in range(2):
        for tap in ((0, 0), (0, 1), (1, 0), (1, 1)):
            for move in ((1, 0), (0, 1)):
                offsets, taps = np.zeros((4, 4, 16)), kernel.copy()
                offsets[1, 2, entry] = 1.0
                taps[*tap, group, 0] = 1.0
                outputs = np.asarray(run(inputs, taps, offsets))
                at = 1 + tap[0] + move[0], 2 + tap[1] + move[1], group
                assert outputs[1, 2, 0] == inputs[at]
                mask = np.ones((4, 4, 8))
                mask[1, 2, entry // 2] = 0.5
                halved = np.asarray(run(inputs, taps, offsets, mask=mask))
                assert halved[1, 2, 0] == inputs[at] / 2
                entry += 1


def test_the_border_fades_to_zero_and_stays_there():
    """torchvision's rule: 0 from position -1 down and from position n up, linear in between."""
    inputs, kernel = np.array([[2.0], [3.0], [8.0]]), np.ones((1, 1, 1))
    where = np.array([-np.inf, -1e30, -1.0, -0.75, 0.0, 2.0, 2.25, 3.0, 1e30, np.inf, np.nan])
    expected = [0, 0, 0, 0.5, 2, 8, 6, 0, 0, 0, np.nan]

    def sample(position):
        moves = jnp.zeros((3, 1)).at[0, 0].set(position)
        return functional.deform_conv(inputs, kernel, moves)[0, 0]

    slopes = [0, 0, 2, 2, 1, -8, -8, 0, 0, 0]
    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(sample)))(where)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(gradients[:-1], slopes)


def test_derivatives_in_every_mode_and_to_second_order():
    args, options, rng = arrays("2d masked, strided", ())
    whole = np.floor(args["offsets"])  # keeps the differences away from the kinks
    args["offsets"] = whole + rng.uniform(0.2, 0.8, whole.shape)
    names = tuple(args)

    def positional(*values):
        return functional.deform_conv(**dict(zip(names, values, strict=True)), **options)

    def vjp(cotangent, *values):
        hand = by_hand(cotangent, dict(zip(names, values, strict=True)), options)
        return tuple(hand[name] for name in names)

    linear = [i for i, name in enumerate(names) if name != "offsets"]
    check_gradients(
        positional, tuple(args.values()), vjp=vjp, order=2, linear=linear, name="deform_conv",
        difference_rtol=1e-6,
    )  # fmt: skip


def test_transformations():
    args, options, _ = arrays("1d groups", ())
    args.pop("bias")
    names = tuple(args)

    def positional(*values):
        return functional.deform_conv(**dict(zip(names, values, strict=True)), **options)

    check_transforms(jax.jit(positional), tuple(args.values()), name="deform_conv")


@pytest.mark.parametrize("batch", [(), (2, 3), (0,), (2, 0)])
def test_any_number_of_batch_axes(batch):
    args, options, rng = arrays("1d groups", batch)
    expected = reference.deform_conv(**args, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, gradients = value_and_gradients(functional.deform_conv, cotangent, args, options)
    np.testing.assert_allclose(outputs, expected, atol=1e-12)
    for name, right in by_hand(cotangent, args, options).items():
        np.testing.assert_allclose(gradients[name], right, atol=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16, np.float16])
def test_other_dtypes(dtype):
    args, options, rng = arrays("1d groups", dtype=dtype)
    exact = {k: np.asarray(v, np.float64) for k, v in args.items()}
    expected = reference.deform_conv(**exact, **options)
    cotangent = np.asarray(rng.standard_normal(expected.shape), dtype)
    outputs, gradients = value_and_gradients(functional.deform_conv, cotangent, args, options)
    assert outputs.dtype == dtype
    assert {name: g.dtype for name, g in gradients.items()} == {k: dtype for k in args}
    hand = by_hand(np.asarray(cotangent, np.float64), exact, options)
    # computed in float32 throughout and rounded once; float32 itself: 100 products of O(1)
    tolerance = (30 if dtype is np.float32 else 2) * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(
        np.asarray(outputs, np.float64), expected, rtol=0, atol=tolerance * abs(expected).max()
    )
    for name, right in hand.items():
        got = np.asarray(gradients[name], np.float64)
        np.testing.assert_allclose(got, right, rtol=0, atol=tolerance * abs(right).max())


def test_float32_offsets_of_bfloat16_inputs_keep_their_precision():
    inputs = np.arange(1024).astype(jnp.bfloat16).reshape(1024, 1)
    kernel, moves = np.ones((1, 1, 1), jnp.bfloat16), np.full((1024, 1), 0.5, np.float32)
    outputs = np.asarray(jax.jit(functional.deform_conv)(inputs, kernel, moves))
    assert outputs.dtype == jnp.bfloat16
    expected = (np.asarray(inputs, np.float32)[600, 0] + np.asarray(inputs, np.float32)[601, 0]) / 2
    assert outputs[600, 0] == jnp.bfloat16(expected)


def test_complex_inputs(rng):
    args, options, _ = arrays("1d groups")
    inputs = args["inputs"] + 1j * rng.standard_normal(args["inputs"].shape)
    args = args | {"inputs": inputs, "kernel": args["kernel"].astype(complex)}
    args["bias"] = args["bias"].astype(complex)
    expected = reference.deform_conv(**args, **options)
    cotangent = rng.standard_normal(expected.shape) + 1j * rng.standard_normal(expected.shape)
    outputs, gradients = value_and_gradients(functional.deform_conv, cotangent, args, options)
    np.testing.assert_allclose(outputs, expected, atol=1e-12)
    for name, right in by_hand(cotangent, args, options).items():
        np.testing.assert_allclose(gradients[name], right, atol=1e-11)


X, K = np.ones((4, 7, 6, 6), np.float32), np.ones((3, 2, 6, 4), np.float32)
D = np.zeros((4, 5, 5, 12), np.float32)
BAD = {
    "list": (TypeError, r"deform_conv: `offsets` must be an array, got list", (X, K, [0.0]), {}),
    "rank 0": (ValueError, r"deform_conv: `kernel` must be \(\*kernel_size", (X, K[0, 0], D), {}),
    "few axes": (ValueError, r"deform_conv: `inputs` must be \(\*batch", (X[0, 0], K, D), {}),
    "channels": (ValueError, r"must have .* = 6 input channels, got 5", (X, K[:, :, :5], D), {}),
    "no tap": (ValueError, r"deform_conv: `kernel` must have no empty", (X, K[:0], D), {}),
    "too large": (ValueError, r"deform_conv: `kernel` .* spans 3", (X[:, :2], K, D), {}),
    "integers": (
        TypeError,
        r"`inputs` must be floating, got int32",
        (X.astype(np.int32), K.astype(np.int32), D),
        {},
    ),
    "integer offsets": (
        TypeError,
        r"`offsets` must be floating, got int8",
        (X, K, D.astype(np.int8)),
        {},
    ),
    "integer mask": (
        TypeError,
        r"`mask` must be floating, got bool",
        (X, K, D),
        dict(mask=D[..., :6] == 0),
    ),
    "offsets": (
        ValueError,
        r"deform_conv: `offsets` must be \(4, 5, 5, 12\): the batch axes, the windows, and "
        r"1 \* 6 \* 2 \(offset groups, taps, axes\); received inputs \(4, 7, 6, 6\), offsets "
        r"\(4, 5, 5, 24\)",
        (X, K, np.concatenate([D, D], -1)),
        {},
    ),
    "windows": (ValueError, r"`offsets` must be \(4, 7, 6, 12\)", (X, K, D), dict(padding="SAME")),
    "mask": (
        ValueError,
        r"`mask` must be \(4, 5, 5, 6\): .* 1 \* 6 \(off",
        (X, K, D),
        dict(mask=D),
    ),
    "bias": (ValueError, r"deform_conv: `bias` must be \(4,\)", (X, K, D), dict(bias=X[0, 0, 0])),
    "groups": (
        ValueError,
        r"deform_conv: `feature_group_count` \(=4\) must divide `in_features`",
        (X, K, D),
        dict(feature_group_count=4),
    ),
    "offset groups": (
        ValueError,
        r"deform_conv: `offset_group_count` \(=4\) must divide `in_features` \(=6\)",
        (X, K, D),
        dict(offset_group_count=4),
    ),
    "offset groups 0": (
        ValueError,
        r"`offset_group_count` \(=0\)",
        (X, K, D),
        dict(offset_group_count=0),
    ),
    "offset groups str": (
        TypeError,
        r"`offset_group_count` \(='1'\)",
        (X, K, D),
        dict(offset_group_count="1"),
    ),
    "strides": (ValueError, r"`strides` \(=1.5\) must be a whole", (X, K, D), dict(strides=1.5)),
    "dilation": (ValueError, r"`kernel_dilation` \(=0\)", (X, K, D), dict(kernel_dilation=0)),
    "circular": (
        ValueError,
        r"deform_conv: `padding` \(='CIRCULAR'\)",
        (X, K, D),
        dict(padding="CIRCULAR"),
    ),
    "precision": (ValueError, r"deform_conv: `precision`", (X, K, D), dict(precision="most")),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_under_jit_too(case):
    kind, message, args, options = BAD[case]
    with pytest.raises(kind, match=message):
        functional.deform_conv(*args, **options)
    if all(isinstance(a, np.ndarray) for a in args):
        with pytest.raises(kind, match=message):
            jax.jit(lambda *a: functional.deform_conv(*a, **options))(*args)
