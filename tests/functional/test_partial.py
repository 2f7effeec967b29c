"""partial_conv: against the reference and NVIDIA's definition, with holes, with NaN in them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference
from jaxcnn.testing import check_gradients, check_transforms
from tests.helpers import generator, value_and_gradients

# name: spatial sizes, in, out, kernel size, channels of the mask, options
CASES = {
    "1d": ((9,), 3, 4, (3,), 1, dict(padding="VALID")),
    "1d causal": ((9,), 2, 3, (3,), 2, dict(padding="CAUSAL", kernel_dilation=2)),
    "2d": ((6, 5), 2, 3, (3, 2), 1, dict()),
    "2d channels": ((6, 5), 3, 2, (3, 2), 3, dict(strides=(2, 1))),
    "2d circular": ((6, 5), 2, 3, (3, 4), 1, dict(padding="CIRCULAR", strides=(2, 1))),
    "2d reflect": ((5, 6), 2, 3, (3, 3), 2, dict(padding_mode="reflect", padding="FULL")),
    "2d grouped": ((6, 5), 6, 4, (3, 2), 1, dict(feature_group_count=2, strides=2)),
    "2d grouped, channels": (
        (6, 5),
        6,
        4,
        (2, 2),
        6,
        dict(feature_group_count=2, flip_kernel=True, padding=((1, 0), (-1, 2))),
    ),
    "2d depthwise": ((6, 5), 4, 8, (3, 2), 4, dict(feature_group_count=4)),
    "2d input dilated": (
        (4, 5),
        2,
        3,
        (3, 2),
        2,
        dict(input_dilation=(2, 3), strides=(1, 2), kernel_dilation=2, padding=2),
    ),
    "3d": ((4, 5, 3), 2, 3, (2, 3, 2), 1, dict(strides=(1, 2, 1), padding=(0, 1, 2))),
    "4d": ((3, 3, 2, 3), 2, 3, (2, 2, 1, 2), 2, dict()),
    "2d large": ((24, 20), 12, 6, (3, 3), 1, dict(strides=(1, 2))),
}  # fmt: skip


def arrays(case: str, batch: tuple[int, ...] = (2,), dtype=np.float64):
    sizes, in_features, out_features, kernel_size, channels, options = CASES[case]
    rng = generator(case)
    groups = options.get("feature_group_count", 1)
    inputs = rng.standard_normal((*batch, *sizes, in_features))
    kernel = rng.standard_normal((*kernel_size, in_features // groups, out_features))
    mask = rng.random((*batch, *sizes, channels)) < 0.25  # leaves some windows without a pixel
    args = inputs, kernel, rng.standard_normal(out_features)
    return [np.asarray(v, dtype) for v in args], mask, options, rng


def run(args, mask, cotangent, options=None):
    """Outputs, new mask, and the gradients of inputs, kernel and bias."""
    named = dict(zip(("inputs", "kernel", "bias"), args, strict=True))
    (outputs, new_mask), gradients = value_and_gradients(
        functional.partial_conv, cotangent, named, options, beside={"mask": mask}
    )
    return outputs, new_mask, tuple(gradients[name] for name in named)


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference_in_value_and_gradient(case):
    (inputs, kernel, bias), mask, options, rng = arrays(case)
    expected, expected_mask = reference.partial_conv(inputs, kernel, mask, bias, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, new_mask, gradients = run((inputs, kernel, bias), mask, cotangent, options)
    np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(new_mask, expected_mask)
    assert new_mask.dtype == mask.dtype
    dx, dk, _, db = reference.partial_conv_vjp(cotangent, inputs, kernel, mask, bias, **options)
    for ours, right in zip(gradients, (dx, dk, db), strict=True):
        np.testing.assert_allclose(ours, right, rtol=1e-10, atol=1e-11)


def test_the_cases_hold_windows_without_a_valid_pixel():
    (inputs, kernel, _), mask, options, _ = arrays("2d")
    outputs, new_mask = map(np.asarray, functional.partial_conv(inputs, kernel, mask, **options))
    assert 0 < np.sum(~new_mask) < new_mask.size
    assert not outputs[~new_mask[..., 0]].any()


@pytest.mark.parametrize("case", ["2d", "2d grouped, channels", "2d reflect"])
def test_what_hides_under_the_mask_reaches_neither_values_nor_gradients(case):
    (inputs, kernel, bias), mask, options, rng = arrays(case)
    hidden = np.where(mask, inputs, np.where(rng.random(inputs.shape) < 0.5, np.nan, np.inf))
    cotangent = rng.standard_normal(
        reference.partial_conv(inputs, kernel, mask, **options)[0].shape
    )
    clean = run((inputs, kernel, bias), mask, cotangent, options)
    dirty = run((hidden, kernel, bias), mask, cotangent, options)
    jax.tree.map(np.testing.assert_array_equal, dirty, clean)


def test_no_valid_pixel_at_all_gives_zeros_and_zero_gradients():
    inputs, kernel = np.full((5, 4, 2), np.nan), np.ones((3, 3, 2, 3))
    bias, mask = np.ones(3), np.zeros((5, 4, 1))
    cotangent = np.ones((5, 4, 3))
    results = run((inputs, kernel, bias), mask, cotangent)
    assert not any(np.asarray(array).any() for array in jax.tree.leaves(results))


def test_all_pixels_valid_is_conv_scaled_at_the_border(rng):
    inputs, kernel = rng.standard_normal((2, 7, 6, 3)), rng.standard_normal((3, 3, 3, 4))
    bias, ones = rng.standard_normal(4), np.ones((7, 6, 1))
    outputs, new_mask = functional.partial_conv(inputs, kernel, ones, bias)
    assert new_mask.shape == (7, 6, 1) and np.asarray(new_mask).all()
    counts = reference.conv(ones, np.ones((3, 3, 1, 1)))
    expected = reference.conv(inputs, kernel) * (9 / counts) + bias
    np.testing.assert_allclose(outputs, expected, atol=1e-12)
    valid, _ = functional.partial_conv(inputs, kernel, ones, bias, padding="VALID")
    np.testing.assert_allclose(
        valid, reference.conv(inputs, kernel, bias, padding="VALID"), atol=1e-12
    )


@pytest.mark.parametrize("channels", [1, 4])
def test_is_what_the_authors_module_computes(channels, rng):
    """Their code, line by line: https://github.com/NVIDIA/partialconv (multi_channel or not)."""
    torch = pytest.importorskip("torch")
    inputs, kernel = rng.standard_normal((2, 7, 8, 4)), rng.standard_normal((3, 2, 4, 5))
    bias, mask = rng.standard_normal(5), (rng.random((2, 7, 8, channels)) < 0.3).astype(float)
    x, m = (torch.from_numpy(v.transpose(0, 3, 1, 2).copy()) for v in (inputs, mask))
    weight = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
    ones = torch.ones((5, 4, 3, 2) if channels > 1 else (1, 1, 3, 2), dtype=torch.float64)
    window = ones[0].numel()
    geometry = dict(stride=(2, 1), padding=(2, 1), dilation=(1, 2))
    conv2d = torch.nn.functional.conv2d
    update = conv2d(m, ones, **geometry)
    ratio = window / (update + 1e-8)
    update = torch.clamp(update, 0, 1)
    ratio = ratio * update
    b = torch.from_numpy(bias).view(1, 5, 1, 1)
    raw = conv2d(x * m, weight, torch.from_numpy(bias), **geometry)
    expected = ((raw - b) * ratio + b) * update
    outputs, new_mask = functional.partial_conv(
        inputs, kernel, mask, bias, strides=(2, 1), padding=(2, 1), kernel_dilation=(1, 2)
    )
    np.testing.assert_allclose(outputs, expected.numpy().transpose(0, 2, 3, 1), atol=1e-6)
    np.testing.assert_array_equal(new_mask, update.numpy().transpose(0, 2, 3, 1))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.float32, jnp.bfloat16])
def test_a_mask_of_any_dtype_is_valid_where_it_is_not_0(dtype):
    (inputs, kernel, bias), mask, options, _ = arrays("2d channels")
    as_bool = functional.partial_conv(inputs, kernel, mask, bias, **options)
    typed = np.where(mask, 1 if dtype is bool else 3, 0).astype(dtype)
    outputs, new_mask = functional.partial_conv(inputs, kernel, typed, bias, **options)
    assert new_mask.dtype == typed.dtype
    np.testing.assert_array_equal(outputs, as_bool[0])
    np.testing.assert_array_equal(np.asarray(new_mask, bool), as_bool[1])
    assert set(np.unique(np.asarray(new_mask, float))) <= {0.0, 1.0}


def test_derivatives_in_every_mode_and_under_transformations():
    (inputs, kernel, bias), mask, options, _ = arrays("2d channels", ())
    mask = mask.astype(np.float64) + 0.5 * mask

    def fn(x, k, m, b):
        return functional.partial_conv(x, k, m, b, **options)[0]

    def vjp(cotangent, x, k, m, b):
        return reference.partial_conv_vjp(cotangent, x, k, m, b, **options)

    check_gradients(fn, (inputs, kernel, mask, bias), vjp=vjp, differences=False, order=2)
    args, flat = (inputs, kernel, bias), fn
    check_gradients(lambda x, k, b: flat(x, k, mask, b), args, linear=True, name="partial_conv")
    check_transforms(fn, (inputs, kernel, mask > 0, bias), name="partial_conv")


@pytest.mark.parametrize("batch", [(), (2, 3), (0,), (2, 0)])
def test_any_number_of_batch_axes(batch):
    (inputs, kernel, bias), mask, options, _ = arrays("2d grouped", batch)
    masks = mask, np.ones((6, 5, 6))
    convolve = functools.partial(functional.partial_conv, **options)
    results = jax.jit(lambda *masks: [convolve(inputs, kernel, m, bias) for m in masks])(*masks)
    for given, ours in zip(masks, results, strict=True):
        right = reference.partial_conv(inputs, kernel, given, bias, **options)
        for a, b in zip(ours, right, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16, np.float16, np.complex128])
def test_other_dtypes(dtype):
    args, mask, options, rng = arrays("2d grouped, channels", dtype=dtype)
    inputs, kernel, bias = args
    expected, _ = reference.partial_conv(inputs, kernel, mask, bias, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, _, gradients = run(args, mask, cotangent, options)
    assert outputs.dtype == dtype
    # sums of up to 12 products times up to 12, the sums of 16-bit floats held in float32
    tolerance = 1e-10 if dtype is np.complex128 else 20 * float(jnp.finfo(dtype).eps)
    dx, dk, _, db = reference.partial_conv_vjp(cotangent, inputs, kernel, mask, bias, **options)
    for ours, right in zip((outputs, *gradients), (expected, dx, dk, db), strict=True):
        got = np.asarray(ours).astype(np.result_type(right, dtype))
        np.testing.assert_allclose(got, right, rtol=0, atol=tolerance * np.abs(right).max())


X, K = np.ones((4, 9, 8, 6), np.float32), np.ones((3, 3, 6, 4), np.float32)
M = np.ones((4, 9, 8, 1), np.float32)
BAD = {
    "list": (TypeError, r"partial_conv: `mask` must be an array, got list", (X, K, [1]), {}),
    "rank 0": (ValueError, r"partial_conv: `kernel` must be \(\*kernel_size", (X, K[0, 0], M), {}),
    "few axes": (ValueError, r"partial_conv: `inputs` must be \(\*batch", (X[0, 0], K, M), {}),
    "channels": (ValueError, r"must have .* = 6 input channels, got 5", (X, K[:, :, :5], M), {}),
    "no tap": (ValueError, r"partial_conv: `kernel` must have no empty axis", (X, K[:0], M), {}),
    "mask": (
        ValueError,
        r"partial_conv: `mask` must be .*; received inputs \(4, 9, 8, 6\), mask \(4, 9, 8\)",
        (X, K, M[..., 0]),
        {},
    ),
    "mask channels": (ValueError, r"mask \(4, 9, 8, 2\)", (X, K, X[..., :2]), {}),
    "mask batch": (ValueError, r"mask \(2, 9, 8, 1\)", (X, K, M[:2]), {}),
    "integers": (
        TypeError,
        r"partial_conv: `inputs` and `kernel` must be floating .* got int32",
        (X.astype(np.int32), K.astype(np.int32), M),
        {},
    ),
    "bias": (ValueError, r"partial_conv: `bias` must be \(4,\)", (X, K, M, X[0, 0, 0]), {}),
    "strides": (ValueError, r"partial_conv: `strides` \(=0\)", (X, K, M), dict(strides=0)),
    "groups": (
        ValueError,
        r"partial_conv: `feature_group_count` \(=4\) must divide",
        (X, K, M),
        dict(feature_group_count=4),
    ),
    "algorithm": (ValueError, r"partial_conv: `algo", (X, K, M), dict(algorithm="magic")),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_under_jit_too(case):
    kind, message, args, options = BAD[case]
    with pytest.raises(kind, match=message):
        functional.partial_conv(*args, **options)
    if all(isinstance(a, np.ndarray) for a in args):
        with pytest.raises(kind, match=message):
            jax.jit(lambda *a: functional.partial_conv(*a, **options))(*args)
