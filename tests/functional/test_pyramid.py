"""spatial_pyramid_pool: values and gradients against the reference; order of bins; bad input."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference
from jaxcnn.testing import check_gradients, check_transforms
from tests.helpers import value_and_gradients

# name: inputs, levels
CASES = {
    "1d, no batch": ((9, 3), ((4,), (1,))),
    "2d": ((2, 7, 10, 3), ((1, 1), (2, 3), (4, 1))),
    "2d, bins above the size, two batch axes": ((2, 3, 3, 4, 2), ((1, 1), (5, 6))),
    "3d": ((1, 4, 5, 6, 2), ((1, 1, 1), (2, 3, 2))),
    "empty batch": ((0, 5, 4, 2), ((2, 2), (1, 1))),
    "large": ((4, 26, 20, 12), ((1, 1), (3, 2))),
}


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference_in_value_and_gradient(case):
    shape, levels = CASES[case]
    rng = np.random.default_rng(len(case))
    inputs = rng.standard_normal(shape)
    cotangent = rng.standard_normal(reference.spatial_pyramid_pool(inputs, levels).shape)
    for reducer in ("max", "avg"):
        options = dict(levels=levels, reducer=reducer)
        outputs, gradient = value_and_gradients(
            functional.spatial_pyramid_pool, cotangent, inputs, options
        )
        expected = reference.spatial_pyramid_pool(inputs, levels, reducer=reducer)
        np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-12)
        (hand,) = reference.spatial_pyramid_pool_vjp(cotangent, inputs, levels, reducer=reducer)
        np.testing.assert_allclose(gradient, hand, rtol=1e-10, atol=1e-12)


def test_levels_then_bins_then_channels():
    image = np.array([[[1, -1], [2, -2]], [[3, -3], [4, -4]]])
    vector = functional.spatial_pyramid_pool(image, ((2, 2), (1, 1)))
    assert vector.tolist() == [1, -1, 2, -2, 3, -3, 4, -4, 4, -1]


def test_derivatives_and_transformations():
    inputs, levels = np.random.default_rng(0).standard_normal((2, 5, 2)), ((2,), (1,))
    pool = functools.partial(functional.spatial_pyramid_pool, levels=levels)
    hand = functools.partial(reference.spatial_pyramid_pool_vjp, levels=levels)
    check_gradients(pool, (inputs,), vjp=hand, order=2)
    check_transforms(pool, (inputs,), transforms=("vmap",))


@pytest.mark.parametrize("dtype", [np.int8, jnp.bfloat16])
def test_other_dtypes(dtype, rng):
    inputs = rng.integers(-9, 9, (2, 5, 4, 3)).astype(dtype)
    outputs = functional.spatial_pyramid_pool(inputs, ((1, 1), (2, 2)))
    assert outputs.dtype == dtype
    np.testing.assert_array_equal(
        np.float64(outputs), reference.spatial_pyramid_pool(inputs, ((1, 1), (2, 2)))
    )


@pytest.mark.parametrize(
    "inputs, options, error, message",
    [
        (np.zeros((2, 5, 4, 3)), dict(levels=(1, 2)), TypeError, "`levels` .=1. must be a tuple"),
        (np.zeros((2, 5, 4, 3)), dict(levels=4), TypeError, "must be a tuple of tuples of ints"),
        (np.zeros((2, 5, 4, 3)), dict(levels="44"), TypeError, "must be a tuple of tuples"),
        (np.zeros((2, 5, 4, 3)), dict(levels=()), ValueError, "must hold at least one level"),
        (np.zeros((2, 5, 4, 3)), dict(levels=((1, 1), (2,))), ValueError, "each the same number"),
        (np.zeros((2, 5, 4, 3)), dict(levels=((1, 0),)), ValueError, "must be at least 1"),
        (np.zeros((2, 5, 4, 3)), dict(levels=((1, None),)), TypeError, "must be an int"),
        (np.zeros((2, 5, 4, 3)), dict(levels=((1, 1),), reducer="sum"), ValueError, "max, avg"),
        (np.zeros((2, 5, 4, 3)), dict(levels=((1, 1),), reducer=max), TypeError, "be a string"),
        (np.zeros((2, 5, 4, 3), bool), dict(levels=((1, 1),)), TypeError, "got bool"),
        (np.zeros((5, 3)), dict(levels=((1, 1),)), ValueError, "with 2 spatial axes"),
        (np.zeros((0, 5, 3)), dict(levels=((1, 1),)), ValueError, "no empty spatial axis"),
    ],
)
def test_bad_input(inputs, options, error, message):
    with pytest.raises(error, match=f"^spatial_pyramid_pool: .*{message}"):
        functional.spatial_pyramid_pool(inputs, **options)
