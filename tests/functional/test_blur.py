"""blur_pool: values and gradients against the reference and PyTorch; aliases; bad input."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference
from jaxcnn.testing import check_gradients, check_transforms
from tests.helpers import program, value_and_gradients

# name: inputs, window shape, options
CASES = {
    "1d, no batch": ((9, 3), (3,), dict(strides=2)),
    "1d causal": ((2, 9, 3), (4,), dict(padding="CAUSAL", padding_mode="zeros")),
    "2d": ((2, 7, 10, 3), (3, 4), dict(strides=2)),
    "2d, one tap and seven": ((2, 6, 8, 2), (1, 7), dict()),
    "2d same circular": (
        (2, 7, 6, 2),
        (2, 5),
        dict(strides=(2, 3), padding="SAME", padding_mode="circular"),
    ),
    "2d valid, two batch axes": ((2, 3, 7, 6, 2), (3, 2), dict(strides=2, padding="VALID")),
    "2d zeros, wide": ((2, 4, 5, 2), (3, 3), dict(padding=4, padding_mode="zeros")),
    "2d replicate": ((2, 4, 5, 2), (6, 5), dict(padding_mode="replicate", strides=(1, 2))),
    "2d reflected twice": ((2, 3, 4, 2), (5, 3), dict(padding=((4, 3), (0, 5)), strides=2)),
    "3d": ((2, 4, 5, 3, 2), (2, 3, 3), dict(strides=(1, 2, 1))),
    "4d": ((1, 3, 4, 3, 2, 2), (2, 3, 1, 2), dict(padding_mode="replicate")),
    "empty batch": ((0, 5, 4, 3), (2, 3), dict(strides=2)),
    "large": ((4, 26, 20, 12), (5, 3), dict(strides=2)),
}


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference_in_value_and_gradient(case):
    shape, window, options = CASES[case]
    rng = np.random.default_rng(len(case))
    inputs = rng.standard_normal(shape)
    expected = reference.blur_pool(inputs, window, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, gradient = value_and_gradients(
        functional.blur_pool, cotangent, inputs, options | {"window_shape": window}
    )
    np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-12)
    (hand,) = reference.blur_pool_vjp(cotangent, inputs, window, **options)
    np.testing.assert_allclose(gradient, hand, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", range(1, 8))
def test_is_the_published_filter_in_torch(size):
    torch = pytest.importorskip("torch")
    rows = {
        1: [1], 2: [1, 1], 3: [1, 2, 1], 4: [1, 3, 3, 1], 5: [1, 4, 6, 4, 1],
        6: [1, 5, 10, 10, 5, 1], 7: [1, 6, 15, 20, 15, 6, 1],
    }  # fmt: skip
    row = torch.tensor(rows[size], dtype=torch.float64)
    kernel = (row[:, None] * row[None, :] / row.sum() ** 2).expand(3, 1, size, size)
    inputs = np.random.default_rng(size).standard_normal((2, 9, 8, 3))
    low, high = (size - 1) // 2, -(-(size - 1) // 2)
    padded = torch.nn.ReflectionPad2d((low, high, low, high))(
        torch.from_numpy(inputs.transpose(0, 3, 1, 2))
    )
    theirs = torch.nn.functional.conv2d(padded, kernel, stride=2, groups=3).numpy()
    outputs = functional.blur_pool(inputs, (size, size), 2)
    np.testing.assert_allclose(outputs, theirs.transpose(0, 2, 3, 1), atol=1e-12)


def test_nan_stays_in_the_windows_that_hold_it():
    line = np.zeros((9, 1))
    line[4] = np.nan
    outputs = functional.blur_pool(line, (3,))
    assert np.flatnonzero(np.isnan(outputs)).tolist() == [3, 4, 5]


def test_blurring_before_subsampling_keeps_fewer_aliases():
    alternating = np.tile([1.0, -1.0], 8)[:, None]
    assert np.abs(functional.blur_pool(alternating, (1,), 2)).min() == 1
    np.testing.assert_allclose(functional.blur_pool(alternating, (3,), 2, padding="VALID"), 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, jnp.bfloat16, np.complex128])
def test_other_dtypes(dtype):
    shape, window, options = CASES["2d"]
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal(shape).astype(dtype)
    wide = inputs if dtype is np.complex128 else inputs.astype(np.float64)
    expected = reference.blur_pool(wide, window, **options)
    cotangent = rng.standard_normal(expected.shape).astype(dtype)
    outputs, gradient = value_and_gradients(
        functional.blur_pool, cotangent, inputs, options | {"window_shape": window}
    )
    assert outputs.dtype == gradient.dtype == dtype
    (hand,) = reference.blur_pool_vjp(cotangent.astype(wide.dtype), wide, window, **options)
    # the weights sum to 1 and are exact; what remains is rounding at the end
    atol = 8 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(np.asarray(outputs).astype(wide.dtype), expected, atol=atol)
    np.testing.assert_allclose(np.asarray(gradient).astype(wide.dtype), hand, atol=atol)


def test_integers_are_averaged_as_floats(rng):
    inputs = rng.integers(0, 255, (2, 7, 6, 3)).astype(np.uint8)
    outputs = functional.blur_pool(inputs, (3, 3), 2)
    assert outputs.dtype == jnp.float32
    np.testing.assert_allclose(outputs, reference.blur_pool(inputs, (3, 3), 2), rtol=1e-6)


def test_derivatives_and_transformations():
    inputs = np.random.default_rng(0).standard_normal((2, 5, 4, 2))
    check_gradients(
        lambda x: functional.blur_pool(x, (3, 2), 2),
        (inputs,),
        vjp=lambda c, x: reference.blur_pool_vjp(c, x, (3, 2), 2),
        order=2,
        linear=True,
    )
    check_transforms(lambda x: functional.blur_pool(x, (3, 2), 2), (inputs,))


def test_the_gradient_scatters_nothing():
    options = dict(window_shape=(4, 4), strides=2)
    text = program(functional.blur_pool, np.zeros((2, 5, 5, 3)), np.zeros((2, 9, 9, 3)), options)
    assert "scatter" not in text


@pytest.mark.parametrize(
    "inputs, window, options, error, message",
    [
        (np.zeros((2, 5, 4, 3)), 3, dict(), TypeError, "`window_shape` .=3. must be a tuple"),
        (np.zeros((2, 5, 4, 3)), (3, 0), dict(), ValueError, "must be at least 1"),
        (np.zeros((2, 5, 4, 3)), (3, 3), dict(strides=0), ValueError, "`strides`.*at least 1"),
        (np.zeros((2, 5, 4, 3)), (3, 3), dict(padding="HALF"), ValueError, "`padding`.*one of"),
        (np.zeros((2, 5, 4, 3)), (6, 3), dict(padding=0), ValueError, "spans 6 pixels"),
        (np.zeros((2, 5, 4, 3)), (3, 3), dict(padding_mode="identity"), ValueError, "one of zeros"),
        (np.zeros((2, 5, 4, 3)), (3, 3), dict(padding_mode=0), TypeError, "must be a string"),
        (np.zeros((5, 3)), (3, 3), dict(), ValueError, "with 2 spatial axes"),
        (np.zeros((2, 0, 4, 3)), (3, 3), dict(), ValueError, "no empty spatial axis"),
        (np.zeros((2, 5, 4, 3), bool), (3, 3), dict(), TypeError, "got bool"),
    ],
)
def test_bad_input(inputs, window, options, error, message):
    with pytest.raises(error, match=f"^blur_pool: .*{message}"):
        functional.blur_pool(inputs, window, **options)
