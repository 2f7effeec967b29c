"""Global pools: values and gradients against the reference; ties, NaN, axes; bad input."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference
from jaxcnn.testing import check_gradients, check_transforms
from tests.helpers import program, value_and_gradients, values_and_gradients

POOLS = ("global_avg_pool", "global_max_pool")
FUNCTIONS = [getattr(functional, name) for name in POOLS]
# name: inputs, options
CASES = {
    "1d": ((2, 7, 3), dict()),
    "2d": ((2, 5, 4, 3), dict()),
    "3d, kept": ((2, 3, 4, 5, 2), dict(keepdims=True)),
    "no batch": ((5, 4, 3), dict(spatial_axes=(0, 1))),
    "two batch axes": ((2, 3, 5, 4, 3), dict(spatial_axes=(-3, -2), keepdims=True)),
    "one axis": ((2, 5, 4, 3), dict(spatial_axes=2)),
    "apart, out of order": ((3, 5, 4, 3), dict(spatial_axes=(2, 0))),
    "one pixel": ((2, 1, 1, 3), dict()),
    "large": ((5, 33, 20, 7), dict()),
}


@pytest.mark.parametrize("case", CASES)
def test_agree_with_the_reference_in_value_and_gradient(case):
    shape, options = CASES[case]
    rng = np.random.default_rng(len(case))
    inputs = rng.standard_normal(shape)
    cotangent = rng.standard_normal(reference.global_avg_pool(inputs, **options).shape)
    results = values_and_gradients(FUNCTIONS, cotangent, inputs, options)
    for name, (outputs, gradient) in zip(POOLS, results, strict=True):
        expected = getattr(reference, name)(inputs, **options)
        np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-12, err_msg=name)
        (hand,) = getattr(reference, f"{name}_vjp")(cotangent, inputs, **options)
        np.testing.assert_allclose(gradient, hand, rtol=1e-10, atol=1e-12, err_msg=name)


def test_the_first_maximum_takes_the_whole_gradient():
    image = np.array([[1.0, 5, 2], [5, 5, 0]]).reshape(1, 2, 3, 1)
    gradient = value_and_gradients(functional.global_max_pool, np.ones((1, 1)), image)[1]
    assert gradient.ravel().tolist() == [0, 1, 0, 0, 0, 0]


def test_nan_comes_out_and_takes_the_gradient():
    image = np.array([[1.0, 5, np.nan], [np.inf, np.nan, 0]]).reshape(1, 2, 3, 1)
    outputs, gradient = value_and_gradients(functional.global_max_pool, np.ones((1, 1)), image)
    assert np.isnan(outputs).all() and gradient.ravel().tolist() == [0, 0, 1, 0, 0, 0]
    assert np.isnan(functional.global_avg_pool(image)).all()


def test_an_image_of_minus_infinity_sends_its_gradient_to_its_first_pixel():
    image = np.full((1, 2, 2, 1), -np.inf)
    outputs, gradient = value_and_gradients(functional.global_max_pool, np.ones((1, 1)), image)
    assert outputs.item() == -np.inf and gradient.ravel().tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, jnp.bfloat16])
def test_other_floats(dtype):
    threes = np.full((1, 64, 64, 1), 3, dtype)
    average = functional.global_avg_pool(threes)
    assert average.dtype == dtype and average.item() == 3
    assert functional.global_avg_pool(np.full((1, 1024, 1), 100, dtype)).item() == 100
    assert functional.global_max_pool(threes).dtype == dtype


def test_integers(rng):
    inputs = rng.integers(-128, 0, (2, 20, 20, 3)).astype(np.int8)
    largest, average = functional.global_max_pool(inputs), functional.global_avg_pool(inputs)
    assert largest.dtype == jnp.int8 and average.dtype == jnp.float32
    np.testing.assert_array_equal(largest, inputs.max((1, 2)))
    np.testing.assert_allclose(average, inputs.mean((1, 2)), rtol=1e-6)


@pytest.mark.parametrize("name", POOLS)
def test_empty_batches(name):
    outputs, gradient = value_and_gradients(
        getattr(functional, name), np.zeros((0, 3)), np.zeros((0, 5, 4, 3))
    )
    assert outputs.shape == (0, 3) and gradient.shape == (0, 5, 4, 3)


@pytest.mark.parametrize("name", POOLS)
def test_derivatives_and_transformations(name):
    inputs = np.random.default_rng(0).standard_normal((2, 3, 4, 2))
    pool, hand = getattr(functional, name), getattr(reference, f"{name}_vjp")
    check_gradients(pool, (inputs,), vjp=hand, order=2, linear=name == POOLS[0])
    check_transforms(lambda x: pool(x, spatial_axes=(-3, -2)), (inputs,))


@pytest.mark.parametrize("name", POOLS)
def test_the_gradient_scatters_nothing(name):
    arrays = np.zeros((2, 3)), np.zeros((2, 9, 9, 3))
    text = program(getattr(functional, name), *arrays)
    assert "scatter" not in text


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize(
    "inputs, options, error, message",
    [
        (np.zeros((2, 3)), dict(), ValueError, r"must be \(batch, \*spatial, channels\) where"),
        (np.zeros((2, 3)), dict(spatial_axes=2), ValueError, "must be below the number of axes"),
        (np.zeros((2, 3)), dict(spatial_axes=-3), ValueError, "must be at least -2"),
        (np.zeros((2, 3)), dict(spatial_axes=(1, -1)), ValueError, "not name an axis twice"),
        (np.zeros((2, 3)), dict(spatial_axes=()), ValueError, "at least one spatial axis"),
        (np.zeros((2, 3)), dict(spatial_axes="12"), TypeError, "must be a tuple"),
        (np.zeros((2, 3)), dict(spatial_axes=(1, True)), TypeError, "must be an int, got bool"),
        (np.zeros((2, 0, 3)), dict(), ValueError, "no empty spatial axis"),
        (np.zeros((2, 4, 0)), dict(), ValueError, "at least one channel"),
        (np.zeros((2, 4, 3)), dict(keepdims=1), TypeError, "`keepdims` .=1. must be True or False"),
        (np.zeros((2, 4, 3), bool), dict(), TypeError, "got bool"),
        (None, dict(), TypeError, "`inputs` must be an array, got NoneType"),
    ],
)
def test_bad_input(name, inputs, options, error, message):
    with pytest.raises(error, match=f"^{name}: .*{message}"):
        getattr(functional, name)(inputs, **options)


def test_complex_numbers_have_no_maximum():
    with pytest.raises(TypeError, match="global_max_pool: `inputs` must hold real numbers"):
        functional.global_max_pool(np.zeros((2, 4, 3), complex))
