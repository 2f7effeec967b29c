"""Indices of maxima and unpooling: against the reference and PyTorch; duplicates; bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference
from jaxcnn.testing import check_gradients, check_transforms

# name: spatial sizes, window_shape, options of the pool
CASES = {
    "1d": ((9,), (3,), dict(strides=2)),
    "1d long": ((40,), (17,), dict(padding=5, strides=2)),
    "2d tiles": ((6, 9), (2, 3), dict(strides=(2, 3))),
    "2d overlapping": ((7, 8), (3, 2), dict(padding=1)),
    "2d same": ((8, 6), (3, 2), dict(strides=2, padding="SAME")),
    "2d pairs, dilated": ((8, 7), (2, 3), dict(padding=((1, 0), (0, 2)), window_dilation=2)),
    "2d ceil": ((7, 8), (2, 3), dict(strides=(2, 3), ceil_mode=True)),
    "3d": ((4, 5, 4), (1, 3, 2), dict(strides=(2, 1, 2))),
    "2d large": ((40, 30), (3, 2), dict(strides=(1, 2), padding="SAME")),
    "2d circular": ((6, 5), (2, 3), dict(padding=2, padding_mode="circular")),
    "2d reflect": ((5, 6), (3, 2), dict(padding=((2, 1), (0, 1)), padding_mode="reflect")),
}


def undo(options):
    return {k: v for k, v in options.items() if k not in ("ceil_mode", "padding_mode")}


@functools.partial(jax.jit, static_argnums=(3, 4, 5))
def compiled(inputs, cotangent, other, window_shape, static, sizes):
    options = dict(static)
    outputs, pullback, indices = jax.vjp(
        lambda x: functional.max_pool_with_indices(x, window_shape, **options), inputs, has_aux=True
    )
    back, unpullback = jax.vjp(
        lambda x: functional.max_unpool(
            x, indices, window_shape, **undo(options), output_shape=sizes
        ),
        outputs,
    )
    alone = functional.max_pool(inputs, window_shape, **options)
    return outputs, alone, indices, pullback(cotangent)[0], back, unpullback(other)[0]


@pytest.mark.parametrize("case", CASES)
def test_agree_with_the_reference_in_value_and_gradient(case):
    sizes, window_shape, options = CASES[case]
    rng = np.random.default_rng(len(case))
    inputs = rng.integers(0, 50, (2, *sizes, 3)).astype(float)  # with ties
    values, places = reference.max_pool_with_indices(inputs, window_shape, **options)
    cotangent, other = rng.standard_normal(values.shape), rng.standard_normal(inputs.shape)
    outputs, alone, indices, gradient, back, ungradient = compiled(
        inputs, cotangent, other, window_shape, tuple(options.items()), sizes
    )
    np.testing.assert_array_equal(outputs, values)
    np.testing.assert_array_equal(outputs, alone)
    np.testing.assert_array_equal(indices, places)
    assert indices.dtype == np.int32
    (hand,) = reference.max_pool_with_indices_vjp(cotangent, inputs, window_shape, **options)
    np.testing.assert_allclose(gradient, hand, rtol=1e-10, atol=1e-12)
    where = undo(options) | dict(output_shape=sizes)
    np.testing.assert_array_equal(back, reference.max_unpool(values, places, window_shape, **where))
    hand, _ = reference.max_unpool_vjp(other, values, places, window_shape, **where)
    np.testing.assert_array_equal(ungradient, hand)
    # The maxima are back in place, and nothing else is.
    flat = inputs.reshape(2, -1, 3)
    named = np.zeros(flat.shape, bool)
    np.put_along_axis(named, np.asarray(indices).reshape(2, -1, 3), True, 1)
    np.testing.assert_array_equal(np.asarray(back).reshape(flat.shape), np.where(named, flat, 0))


def test_derivatives_under_every_transformation(rng):
    inputs = rng.standard_normal((1, 5, 6, 2))

    def round_trip(x):
        values, indices = functional.max_pool_with_indices(x, (2, 2), (1, 2), 1)
        return functional.max_unpool(values**2, indices, (2, 2), (1, 2), 1, output_shape=(5, 6))

    check_gradients(round_trip, (inputs,), order=2, full_limit=8, directions=1)
    check_transforms(round_trip, (inputs,))


@pytest.mark.parametrize("batch", [(), (2, 3), (0,)])
def test_any_number_of_batch_axes(rng, batch):
    inputs = rng.standard_normal((*batch, 4, 6, 2))
    values, indices = functional.max_pool_with_indices(inputs, (2, 3), (2, 3))
    assert values.shape == indices.shape == (*batch, 2, 2, 2)
    back = functional.max_unpool(values, indices, (2, 3), (2, 3))
    np.testing.assert_array_equal(back, np.where(np.isin(inputs, values), inputs, 0))


@pytest.mark.parametrize("dtype", [np.int8, jnp.bfloat16])
def test_other_dtypes(dtype):
    inputs = np.array([-128, -127, 5, 4, 5, -1], dtype)[:, None]
    values, indices = functional.max_pool_with_indices(inputs, (2,), padding=1)
    assert values.dtype == dtype
    np.testing.assert_array_equal(np.ravel(indices), [0, 1, 2, 2, 4, 4, 5])
    back = functional.max_unpool(values, indices, (2,), padding=1)
    assert back.dtype == dtype
    np.testing.assert_array_equal(np.float32(back).ravel(), [-128, -127, 5, 0, 5, -1])


def test_nan_infinity_and_ties():
    x = np.array([-np.inf, -np.inf, 1.0, np.nan, np.nan, 7.0, 7.0, 0.0])[:, None]
    values, indices = functional.max_pool_with_indices(x, (2,), 2)
    np.testing.assert_array_equal(np.ravel(values), [-np.inf, np.nan, np.nan, 7])
    np.testing.assert_array_equal(np.ravel(indices), [0, 3, 4, 6])
    _, indices = functional.max_pool_with_indices(x[:2], (3,), padding=2)
    np.testing.assert_array_equal(np.ravel(indices), [0, 0, 0, 1])


@pytest.mark.parametrize("strides, padding, ceil", [(2, 0, False), (1, 1, False), (3, 1, True)])
def test_same_as_torch(rng, strides, padding, ceil):
    torch = pytest.importorskip("torch")
    inputs = rng.standard_normal((2, 8, 9, 3))
    theirs, places = torch.nn.functional.max_pool2d(
        torch.tensor(np.moveaxis(inputs, -1, 1)), 3, strides, padding,
        ceil_mode=ceil, return_indices=True,
    )  # fmt: skip
    values, indices = functional.max_pool_with_indices(
        inputs, (3, 3), strides, padding, ceil_mode=ceil
    )
    np.testing.assert_array_equal(np.moveaxis(values, -1, 1), theirs)
    np.testing.assert_array_equal(np.moveaxis(indices, -1, 1), places)
    for output_shape in (None, (8, 9)):
        if output_shape is None and ceil:
            continue  # the smallest size no longer holds every index
        try:
            back = torch.nn.functional.max_unpool2d(
                theirs, places, 3, strides, padding, output_size=output_shape
            )
        except RuntimeError:  # the smallest size no longer holds every index
            with pytest.raises(ValueError, match="`indices` must lie in"):
                functional.max_unpool(values, np.asarray(indices), (3, 3), strides, padding)
            continue
        ours = functional.max_unpool(
            values, indices, (3, 3), strides, padding, output_shape=output_shape
        )
        np.testing.assert_array_equal(np.moveaxis(ours, -1, 1), back)


def test_of_duplicate_indices_the_last_wins_and_takes_the_gradient():
    values = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    indices = np.array([[2, 0], [2, 1], [0, 0]])

    @jax.jit
    def run(x, cotangent):
        outputs, pullback = jax.vjp(lambda x: functional.max_unpool(x, indices, (2,)), x)
        return outputs, pullback(cotangent)[0]

    outputs, gradient = run(values, np.arange(1.0, 9.0).reshape(4, 2))
    np.testing.assert_array_equal(outputs, [[5, 6], [0, 4], [3, 0], [0, 0]])
    np.testing.assert_array_equal(gradient, [[0, 0], [5, 4], [1, 2]])


def test_an_index_out_of_range_is_an_error_and_dropped_under_jit():
    values = np.array([[1.0], [2.0], [3.0]])
    unpool = jax.jit(lambda i: functional.max_unpool(values, i, (2,), 2))
    for wrong in (-1, 6, 2**31 - 1):
        indices = np.array([[0], [wrong], [5]])
        message = "max_unpool: `indices` must lie in 0 to 5 .* received indices from "
        with pytest.raises(ValueError, match=message):
            functional.max_unpool(values, indices, (2,), 2)
        np.testing.assert_array_equal(np.ravel(unpool(indices)), [1, 0, 0, 0, 0, 3])


def test_output_sizes():
    def size(**options):
        unpool = functools.partial(functional.max_unpool, window_shape=(3,), **options)
        return jax.eval_shape(unpool, np.ones((4, 1)), np.zeros((4, 1), np.uint8)).shape[0]

    assert size() == 6
    assert size(strides=2) == 9
    assert size(strides=2, padding=1) == 7
    assert size(strides=2, padding="SAME") == 8
    assert size(strides=2, window_dilation=2) == 11
    assert [size(strides=2, output_shape=(n,)) for n in (7 + 1, 9, 10)] == [8, 9, 10]


def test_refuses_bad_input():
    x, i = np.ones((3, 4, 2)), np.zeros((3, 4, 2), np.int32)
    window = (2, 2)
    sizes = x, i, window
    for error, message, args, options in (
        (TypeError, "`indices` must hold integers, got float", (x, x, window), {}),
        (ValueError, "`indices` must have the shape of `inputs`; received", (x, i[1:], window), {}),
        (TypeError, "`inputs` must hold numbers, got bool", (x > 0, i, window), {}),
        (TypeError, "`window_shape` .=2. must be a tuple", (x, i, 2), {}),
        (ValueError, "`inputs` must be .*batch", (x[0, 0], i[0, 0], window), {}),
        (ValueError, "`inputs` must have no empty", (x[:0], i[:0], window), {}),
        (ValueError, "`strides` .=0. must be at least 1", (x, i, window, 0), {}),
        (ValueError, "`output_shape` .=.4, 9.. must belong", sizes, dict(output_shape=(4, 9))),
        (ValueError, "`output_shape` .=.4,.. must have one size", sizes, dict(output_shape=(4,))),
        (TypeError, "`output_shape` .=4. must be a tuple", (x, i, window), dict(output_shape=4)),
        (ValueError, "`padding` .=3. must belong to a pool", (x, i, window, 1, 3), {}),
    ):  # fmt: skip
        with pytest.raises(error, match=f"max_unpool: {message}"):
            functional.max_unpool(*args, **options)
    pool = functional.max_pool_with_indices
    with pytest.raises(ValueError, match="max_pool_with_indices: `padding_mode` .='zeros'. must"):
        pool(x, window, padding_mode="zeros")
    with pytest.raises(ValueError, match="max_pool_with_indices: `padding` .* without a pixel"):
        pool(x, window, padding=2)
    with pytest.raises(TypeError, match="max_pool_with_indices: `inputs` must hold real"):
        pool(x.astype(complex), window)
