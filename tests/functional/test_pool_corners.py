"""The corners of max, min, average and sum pools, each with its one answer worked by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference


def column(*values):
    return jnp.array(values, jnp.float64)[:, None]


def gradient_of(pool, inputs):
    return np.asarray(jax.jit(jax.grad(lambda x: pool(x).sum()))(inputs))


every = pytest.mark.parametrize("algorithm", ["shift", "tree", "window"])


@every
def test_the_first_of_equal_elements_takes_the_whole_gradient(algorithm):
    plane = jnp.array([[0.0, 2.0, 1.0], [2.0, 2.0, 0.0]])[..., None]
    for sign, name in ((1, "max_pool"), (-1, "min_pool")):
        pool = functools.partial(getattr(functional, name), algorithm=algorithm)
        gradient = gradient_of(lambda x, pool=pool: pool(x, (2, 2)), sign * plane)
        np.testing.assert_array_equal(gradient[..., 0], [[0, 2, 0], [0, 0, 0]])
        gradient = gradient_of(lambda x, pool=pool: pool(x, (2, 3)), 0 * plane)
        np.testing.assert_array_equal(gradient[..., 0], [[1, 0, 0], [0, 0, 0]])


@every
def test_nan_comes_out_and_takes_the_gradient(algorithm):
    rows = jnp.array([[1.0, jnp.nan], [jnp.nan, 2.0], [3.0, 4.0]])[..., None]
    for name, last in (("max_pool", [0, 1]), ("min_pool", [1, 0])):
        pool = functools.partial(
            getattr(functional, name), window_shape=(1, 2), algorithm=algorithm
        )
        out = np.asarray(pool(rows))[:, 0, 0]
        assert np.isnan(out[:2]).all() and out[2] == (4 if name == "max_pool" else 3)
        np.testing.assert_array_equal(gradient_of(pool, rows)[..., 0], [[0, 1], [1, 0], last])
    plane = jnp.array([[1.0, 9.0], [jnp.nan, jnp.nan]])[..., None]
    gradient = gradient_of(lambda x: functional.max_pool(x, (2, 2), algorithm=algorithm), plane)
    np.testing.assert_array_equal(gradient[..., 0], [[0, 0], [1, 0]])


@every
@pytest.mark.parametrize("infinity, name", [(-np.inf, "max_pool"), (np.inf, "min_pool")])
def test_a_window_of_infinities_sends_its_gradient_to_a_pixel(algorithm, infinity, name):
    inputs = jnp.full((2, 3, 4, 1), infinity)
    pool = functools.partial(getattr(functional, name), algorithm=algorithm)
    for padding in (1, ((2, 0), (0, 2))):

        def run(x, padding=padding):
            return pool(x, (3, 3), padding=padding)

        outputs = np.asarray(jax.jit(run)(inputs))
        assert (outputs == infinity).all()
        gradient = gradient_of(run, inputs)
        assert gradient.sum() == outputs.size  # no share of it went into the padding
        by_hand = getattr(reference, f"{name}_vjp")(
            np.ones(outputs.shape), inputs, (3, 3), padding=padding
        )
        np.testing.assert_array_equal(gradient, by_hand[0])


def test_ceil_mode_and_what_counts():
    x = column(1, 2, 3, 4, 5, 6)
    options = dict(strides=2, padding=1, ceil_mode=True)
    outputs = functional.avg_pool(x, (3,), **options)
    np.testing.assert_allclose(outputs.ravel(), [1, 3, 5, 3])
    outputs = functional.avg_pool(x, (3,), **options, count_include_pad=False)
    np.testing.assert_allclose(outputs.ravel(), [1.5, 3, 5, 6])
    # A third window would start at pixel 5, in the padding: it is dropped.
    assert functional.max_pool(column(1, 2, 3, 4), (2,), 3, 1, ceil_mode=True).shape == (2, 1)
    assert functional.max_pool(column(1, 2, 3, 4, 5), (2,), 2, ceil_mode=True).ravel()[-1] == 5


def test_the_odd_pixel_of_same_goes_to_the_end_and_of_same_lower_to_the_start():
    x = column(1, 2, 3, 4)
    for padding, largest, mean in (
        ("SAME", [2, 3, 4, 4], [1.5, 2.5, 3.5, 4]),
        ("SAME_LOWER", [1, 2, 3, 4], [1, 1.5, 2.5, 3.5]),
    ):
        assert functional.max_pool(x, (2,), padding=padding).ravel().tolist() == largest
        outputs = functional.avg_pool(x, (2,), None, padding, False)
        assert outputs.ravel().tolist() == mean


def test_an_average_over_nothing_is_zero_with_zero_gradient():
    def pool(x):
        return functional.avg_pool(x, (2,), 2, 4, count_include_pad=False)

    x = column(1, 2, 4)
    np.testing.assert_allclose(pool(x).ravel(), [0, 0, 1.5, 4, 0])
    np.testing.assert_allclose(gradient_of(pool, x).ravel(), [0.5, 0.5, 1])


def test_16_bit_averages_are_accumulated_in_float32():
    ones = jnp.ones((64, 64, 1), jnp.bfloat16)
    assert functional.sum_pool(ones, (64, 64)).item() == 4096
    assert functional.avg_pool(ones, (64, 64)).item() == 1
    hundreds = jnp.full((1024, 1), 100, jnp.float16)
    assert functional.avg_pool(hundreds, (1024,)).item() == 100
    gradient = jax.grad(lambda x: functional.max_pool(x, (256,)).sum())(
        jnp.zeros((511, 1), jnp.bfloat16).at[255].set(1)
    )
    assert gradient[255].item() == 256


def test_numpy_arrays_of_either_byte_order_and_8_bit_floats_are_taken():
    assert functional.max_pool(np.array([[1], [4]], ">f4"), (2,)).tolist() == [[4]]
    for dtype in (jnp.float8_e4m3fn, jnp.float8_e5m2):  # the first has no infinity
        outputs = functional.max_pool(jnp.full((2, 1), -5, dtype), (2,), padding=1)
        assert outputs.dtype == dtype and outputs.ravel().tolist() == [-5, -5, -5]


def test_a_pool_may_be_padded_beyond_half_its_window():
    x = column(3, 1, 2)
    assert functional.max_pool(x, (3,), padding=2).ravel().tolist() == [3, 3, 3, 2, 2]
    assert functional.min_pool(x, (3,), padding=2).ravel().tolist() == [3, 1, 1, 1, 2]
    assert functional.sum_pool(x, (3,), padding=4).ravel().tolist() == [0, 0, 3, 4, 6, 3, 2, 0, 0]
