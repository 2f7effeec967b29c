"""The matrix of a convolution does what the convolution does, and has its structure."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import analysis, reference
from jaxcnn import functional as F

CASES = {
    "strides, padding and groups": (
        functools.partial(F.conv, strides=(2, 1), padding=((1, 0), (2, 1)), feature_group_count=2),
        (3, 2, 2, 6),
        (5, 4, 4),
    ),
    "dilated kernel": (functools.partial(F.conv, kernel_dilation=2), (3, 2, 3), (7, 2)),
    "dilated input": (
        functools.partial(F.conv, input_dilation=2, padding="VALID"),
        (2, 3, 1, 2),
        (3, 3, 1),
    ),
    "transposed": (functools.partial(F.conv_transpose, strides=2, padding=1), (3, 2, 3), (4, 2)),
    "depthwise": (functools.partial(F.depthwise_conv), (3, 3, 2, 2), (4, 3, 2)),
    "reflected": (functools.partial(F.conv, padding="REFLECT"), (3, 2, 1), (5, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_matrix_does_what_the_function_does(name, rng):
    function, kernel_shape, shape = CASES[name]
    kernel = rng.normal(size=kernel_shape)
    ours = functools.partial(function, kernel=jax.device_put(kernel))
    matrix = np.asarray(analysis.conv_matrix(ours, shape, dtype=jnp.float64))
    inputs = rng.normal(size=shape)
    outputs = np.asarray(ours(jax.device_put(inputs)))
    assert matrix.shape == (outputs.size, inputs.size)
    np.testing.assert_allclose(matrix @ inputs.ravel(), outputs.ravel(), rtol=1e-10, atol=1e-12)
    # Its columns are what becomes of single ones, by the function's reference.
    units = np.eye(math.prod(shape)).reshape(-1, *shape)
    by_hand = getattr(reference, function.func.__name__)
    columns = by_hand(units, kernel, **function.keywords)
    expected = columns.reshape(inputs.size, -1).T
    np.testing.assert_allclose(matrix, expected, rtol=1e-10, atol=1e-12)


def test_average_pools_and_constants(rng):
    matrix = analysis.conv_matrix(lambda x: F.avg_pool(x, (2,), strides=2) + 7.0, (4, 1))
    np.testing.assert_array_equal(matrix, [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])


def test_the_transposed_convolution_has_the_transposed_matrix(rng):
    kernel = jax.device_put(rng.normal(size=(3, 3, 2, 4)))
    there = functools.partial(F.conv, kernel=kernel, strides=2, padding="VALID")
    back = functools.partial(
        F.conv_transpose, kernel=kernel, strides=2, padding="VALID", transpose_kernel=True
    )
    matrix = analysis.conv_matrix(there, (7, 5, 2), dtype=jnp.float64)
    transposed = analysis.conv_matrix(back, (3, 2, 4), dtype=jnp.float64)
    np.testing.assert_allclose(transposed, np.asarray(matrix).T, rtol=1e-12, atol=1e-14)


def test_what_is_not_linear_is_refused():
    pool = functools.partial(F.max_pool, window_shape=(2,))
    with pytest.raises(ValueError, match="conv_matrix: `function` must be linear but for a const"):
        analysis.conv_matrix(pool, (6, 1))
    with pytest.raises(TypeError, match="conv_matrix: `function` .=3. must be a layer"):
        analysis.conv_matrix(3, (6, 1))
    with pytest.raises(TypeError, match="conv_matrix: `input_shape` .=6. must be a tuple"):
        analysis.conv_matrix(pool, 6)
