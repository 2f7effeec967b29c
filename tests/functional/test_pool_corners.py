"""The corners of max, min, average and sum pools, each with its one answer worked by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference


def column(*values):
    return np.array(values, np.float64)[:, None]


def values_and_gradients(pools, *inputs):
    """Of each pool and the inputs beside it, for a cotangent of ones; all as one program."""

    @jax.jit
    def run(inputs):
        results = []
        for pool, x in zip(pools, inputs, strict=True):
            outputs, pullback = jax.vjp(pool, x)
            results.append((outputs, pullback(jnp.ones_like(outputs))[0]))
        return results

    return [tuple(map(np.asarray, pair)) for pair in run(inputs)]


every = pytest.mark.parametrize("algorithm", ["shift", "tree", "window", "at_once", "native"])


@every
def test_the_first_of_equal_elements_takes_the_whole_gradient(algorithm):
    plane = np.array([[0.0, 2.0, 1.0], [2.0, 2.0, 0.0]])[..., None]
    pools = [
        functools.partial(pool, window_shape=window, algorithm=algorithm)
        for pool in (functional.max_pool, functional.min_pool)
        for window in ((2, 2), (2, 3))
    ]
    found = values_and_gradients(pools, plane, 0 * plane, -plane, 0 * plane)
    for (_, twice), (_, once) in (found[:2], found[2:]):
        np.testing.assert_array_equal(twice[..., 0], [[0, 2, 0], [0, 0, 0]])
        np.testing.assert_array_equal(once[..., 0], [[1, 0, 0], [0, 0, 0]])


@every
def test_nan_comes_out_and_takes_the_gradient(algorithm):
    rows = np.array([[1.0, np.nan], [np.nan, 2.0], [3.0, 4.0]])[..., None]
    plane = np.array([[1.0, 9.0], [np.nan, np.nan]])[..., None]
    pools = [
        lambda x: functional.max_pool(x, (1, 2), algorithm=algorithm),
        lambda x: functional.min_pool(x, (1, 2), algorithm=algorithm),
        lambda x: functional.max_pool(x, (2, 2), algorithm=algorithm),
    ]
    *of_rows, (_, of_plane) = values_and_gradients(pools, rows, rows, plane)
    for (out, gradient), largest, last in zip(of_rows, (4, 3), ([0, 1], [1, 0]), strict=True):
        assert np.isnan(out[:2]).all() and out[2] == largest
        np.testing.assert_array_equal(gradient[..., 0], [[0, 1], [1, 0], last])
    np.testing.assert_array_equal(of_plane[..., 0], [[0, 0], [1, 0]])


@every
@pytest.mark.parametrize("infinity, name", [(-np.inf, "max_pool"), (np.inf, "min_pool")])
def test_a_window_of_infinities_sends_its_gradient_to_a_pixel(algorithm, infinity, name):
    inputs = np.full((2, 3, 4, 1), infinity)
    paddings = 1, ((2, 0), (0, 2))
    pool = functools.partial(getattr(functional, name), window_shape=(3, 3), algorithm=algorithm)
    pools = [functools.partial(pool, padding=padding) for padding in paddings]
    found = values_and_gradients(pools, inputs, inputs)
    for padding, (outputs, gradient) in zip(paddings, found, strict=True):
        assert (outputs == infinity).all()
        assert gradient.sum() == outputs.size  # no share of it went into the padding
        by_hand = getattr(reference, f"{name}_vjp")(
            np.ones(outputs.shape), inputs, (3, 3), padding=padding
        )
        np.testing.assert_array_equal(gradient, by_hand[0])


def test_ceil_mode_and_what_counts():
    x = column(1, 2, 3, 4, 5, 6)
    options = dict(strides=2, padding=1, ceil_mode=True)
    outputs = functional.avg_pool(x, (3,), **options)
    np.testing.assert_allclose(np.ravel(outputs), [1, 3, 5, 3])
    outputs = functional.avg_pool(x, (3,), **options, count_include_pad=False)
    np.testing.assert_allclose(np.ravel(outputs), [1.5, 3, 5, 6])
    # A third window would start at pixel 5, in the padding: it is dropped.
    assert functional.max_pool(column(1, 2, 3, 4), (2,), 3, 1, ceil_mode=True).shape == (2, 1)
    outputs = functional.max_pool(column(1, 2, 3, 4, 5), (2,), 2, ceil_mode=True)
    assert np.ravel(outputs)[-1] == 5


def test_the_odd_pixel_of_same_goes_to_the_end_and_of_same_lower_to_the_start():
    x = column(1, 2, 3, 4)
    for padding, largest, mean in (
        ("SAME", [2, 3, 4, 4], [1.5, 2.5, 3.5, 4]),
        ("SAME_LOWER", [1, 2, 3, 4], [1, 1.5, 2.5, 3.5]),
    ):
        assert np.ravel(functional.max_pool(x, (2,), padding=padding)).tolist() == largest
        outputs = functional.avg_pool(x, (2,), None, padding, False)
        assert np.ravel(outputs).tolist() == mean


def test_an_average_over_nothing_is_zero_with_zero_gradient():
    def pool(x):
        return functional.avg_pool(x, (2,), 2, 4, count_include_pad=False)

    ((outputs, gradient),) = values_and_gradients([pool], column(1, 2, 4))
    np.testing.assert_allclose(outputs.ravel(), [0, 0, 1.5, 4, 0])
    np.testing.assert_allclose(gradient.ravel(), [0.5, 0.5, 1])


def test_16_bit_averages_are_accumulated_in_float32():
    ones = np.ones((64, 64, 1), jnp.bfloat16)
    assert functional.sum_pool(ones, (64, 64)).item() == 4096
    assert functional.avg_pool(ones, (64, 64)).item() == 1
    hundreds = np.full((1024, 1), 100, np.float16)
    assert functional.avg_pool(hundreds, (1024,)).item() == 100
    middle = (np.arange(511) == 255).astype(jnp.bfloat16)[:, None]
    ((_, gradient),) = values_and_gradients([lambda x: functional.max_pool(x, (256,))], middle)
    assert gradient[255].item() == 256


def test_numpy_arrays_of_either_byte_order_and_8_bit_floats_are_taken():
    assert functional.max_pool(np.array([[1], [4]], ">f4"), (2,)).tolist() == [[4]]
    for dtype in (jnp.float8_e4m3fn, jnp.float8_e5m2):  # the first has no infinity
        outputs = functional.max_pool(np.full((2, 1), -5, dtype), (2,), padding=1)
        assert outputs.dtype == dtype and np.ravel(outputs).tolist() == [-5, -5, -5]


def test_a_pool_may_be_padded_beyond_half_its_window():
    x = column(3, 1, 2)
    assert np.ravel(functional.max_pool(x, (3,), padding=2)).tolist() == [3, 3, 3, 2, 2]
    assert np.ravel(functional.min_pool(x, (3,), padding=2)).tolist() == [3, 1, 1, 1, 2]
    sums = np.ravel(functional.sum_pool(x, (3,), padding=4)).tolist()
    assert sums == [0, 0, 3, 4, 6, 3, 2, 0, 0]
