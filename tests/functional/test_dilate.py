"""dilate: values, gradient, dtypes, transformations, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference
from tests.functional.moves import check_transformations

CASES = {
    "1d": ((5,), (3,)),
    "1d kept": ((5,), (1,)),
    "2d": ((3, 4), (2, 3)),
    "2d one pixel": ((1, 4), (5, 2)),
    "3d": ((2, 3, 2), (1, 3, 2)),
    "4d": ((2, 1, 3, 2), (2, 2, 1, 3)),
    "2d large": ((40, 30), (2, 1)),
}


def test_numpys_memory_is_not_shared():
    memory = np.zeros(64 + 24, np.float32)
    start = -memory.ctypes.data % 64 // 4  # where a device could read it in place
    inputs = memory[start : start + 24].reshape((2, 3, 4))
    outputs = functional.dilate(inputs, (1,))
    inputs[:] = 1
    assert not np.asarray(outputs).any()


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference_in_value_and_gradient(case, rng):
    sizes, rate = CASES[case]
    inputs = rng.standard_normal((2, *sizes, 8))

    @jax.jit
    def run(x, cotangent):
        out, pullback = jax.vjp(lambda x: functional.dilate(x, rate), x)
        return out, pullback(cotangent)[0]

    expected = reference.dilate(inputs, rate)
    cotangent = rng.standard_normal(expected.shape)
    out, gradient = run(inputs, cotangent)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(gradient, reference.dilate_vjp(cotangent, inputs, rate)[0])


def test_is_the_input_dilation_of_conv(rng):
    inputs, kernel = rng.standard_normal((2, 5, 4, 3)), rng.standard_normal((3, 2, 3, 5))
    by_conv = functional.conv(inputs, kernel, input_dilation=(2, 3))
    by_hand = functional.conv(functional.dilate(inputs, (2, 3)), kernel)
    np.testing.assert_allclose(by_conv, by_hand, atol=1e-12)


@pytest.mark.parametrize(
    "dtype", [np.float32, jnp.bfloat16, np.float16, np.complex64, np.int8, np.uint16, np.bool_]
)
def test_every_dtype(dtype):
    inputs = np.array([1, 0, 3])[:, None].astype(dtype)
    out = np.asarray(functional.dilate(inputs, (2,)))
    assert out.dtype == dtype
    np.testing.assert_array_equal(out[::2], inputs)
    assert not out[1::2].any()


def test_a_nan_has_no_neighbours():
    out = functional.dilate(np.array([[np.nan], [np.inf]]), (3,))
    np.testing.assert_array_equal(out, [[np.nan], [0], [0], [np.inf]])


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,), (2, 0)])
def test_any_number_of_batch_axes(batch, rng):
    inputs = rng.standard_normal((*batch, 3, 4, 2))
    out = functional.dilate(inputs, (2, 3))
    assert out.shape == (*batch, 5, 10, 2)
    np.testing.assert_array_equal(out, reference.dilate(inputs, (2, 3)))


def test_transformations(rng):
    inputs, tangent = rng.standard_normal((2, 4, 3, 2)), rng.standard_normal((2, 4, 3, 2))

    def dilate(x):
        return functional.dilate(x, (3, 2))

    check_transformations(dilate, inputs, tangent)


X = np.ones((2, 4, 5, 3), np.float32)
BAD = {
    "list": (TypeError, r"dilate: `inputs` must be an array, got list", [[1.0]], (2,)),
    "keys": (TypeError, r"dilate: `inputs` must hold numbers", jax.random.key(0)[None, None], (2,)),
    "int": (TypeError, r"dilate: `rate` \(=2\) must be a tuple .* write \(2, 2\)", X, 2),
    "none": (TypeError, r"dilate: `rate` \(=None\) must be a tuple", X, None),
    "empty": (ValueError, r"dilate: `rate` \(=\(\)\) must name at least one", X, ()),
    "zero": (ValueError, r"dilate: `rate` \(=0\) must be at least 1", X, (2, 0)),
    "half": (ValueError, r"dilate: `rate` \(=1.5\) must be a whole number", X, (2, 1.5)),
    "bool": (TypeError, r"dilate: `rate` \(=True\) must be an int", X, (2, True)),
    "few axes": (ValueError, r"dilate: `inputs` must be .* since the rate", X[0, 0], (2, 2)),
    "no pixel": (ValueError, r"dilate: `inputs` must have no empty spatial", X[:, :0], (2, 2)),
    "no channel": (ValueError, r"dilate: `inputs` must have at least one ch", X[..., :0], (2, 2)),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses(case):
    error, message, inputs, rate = BAD[case]
    with pytest.raises(error, match=message):
        functional.dilate(inputs, rate)
    if isinstance(inputs, np.ndarray):
        with pytest.raises(error, match=message):
            jax.eval_shape(lambda x: functional.dilate(x, rate), inputs)


def test_refuses_a_traced_rate():
    with pytest.raises(TypeError, match=r"dilate: `rate` .* known before tracing"):
        jax.jit(lambda x, r: functional.dilate(x, (r, 1)))(X, 2)
