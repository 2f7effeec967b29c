"""stochastic_pool: given samples and in the mean, against the reference; its law; bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference
from jaxcnn.testing import check_gradients, check_transforms
from tests.helpers import program, values_and_gradients

# name: inputs, window shape, options
CASES = {
    "1d, two batch axes": ((2, 3, 9, 3), (3,), dict(strides=2)),
    "2d": ((2, 7, 8, 3), (3, 2), dict(strides=(2, 3))),
    "2d same": ((2, 7, 8, 2), (2, 3), dict(strides=2, padding="SAME")),
    "2d dilated, no batch": ((7, 8, 2), (3, 2), dict(window_dilation=(1, 3), padding=1)),
    "2d ceil": ((2, 7, 8, 2), (3, 3), dict(strides=3, ceil_mode=True, padding=((0, 1), (1, 0)))),
    "2d, windows in the padding": ((2, 3, 4, 2), (2, 2), dict(padding=3)),
    "3d": ((1, 4, 5, 4, 2), (1, 3, 2), dict(strides=(1, 2, 2))),
    "4d": ((1, 3, 2, 3, 4, 2), (2, 1, 1, 3), dict(strides=2, padding="SAME_LOWER")),
    "empty batch": ((0, 6, 5, 2), (2, 2), dict(strides=2)),
    "large": ((4, 26, 20, 12), (3, 3), dict(strides=2)),
}


def arguments(case):
    """Inputs of which a fifth is negative, so that they count as zeros."""
    shape, window, options = CASES[case]
    rng = np.random.default_rng(len(case))
    inputs = rng.uniform(-0.5, 2, shape)
    like = reference.stochastic_pool(inputs, window, deterministic=True, **options)
    return inputs, rng.random(like.shape), rng.standard_normal(like.shape), window, options


def drawn(inputs, samples, **options):
    return functional.stochastic_pool(inputs, samples=samples, **options)


def in_the_mean(inputs, samples, **options):
    return functional.stochastic_pool(inputs, deterministic=True, **options)


def both(cotangent, inputs, samples, window, options):
    """Outputs and gradient of the elements drawn, then of the expected value."""
    options, beside = options | {"window_shape": window}, {"samples": samples}
    return values_and_gradients((drawn, in_the_mean), cotangent, inputs, options, beside)


def ways(samples):
    """The options of the two."""
    return dict(samples=samples), dict(deterministic=True)


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference_in_value_and_gradient(case):
    inputs, samples, cotangent, window, options = arguments(case)
    results = both(cotangent, inputs, samples, window, options)
    for given, (outputs, gradient) in zip(ways(samples), results, strict=True):
        expected = reference.stochastic_pool(inputs, window, **given, **options)
        np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-12)
        (hand,) = reference.stochastic_pool_vjp(cotangent, inputs, window, **given, **options)
        np.testing.assert_allclose(gradient, hand, rtol=1e-10, atol=1e-12)


def test_worked_by_hand():
    line = np.array([1.0, 3.0, 0.0, 4.0])[:, None]
    for u, expected in [(0.0, 1), (0.124, 1), (0.126, 3), (0.499, 3), (0.501, 4), (0.999, 4)]:
        drawn = functional.stochastic_pool(line, (4,), samples=np.array([[u]]))
        assert drawn.item() == expected
    mean = functional.stochastic_pool(line, (4,), deterministic=True)
    assert mean.item() == (1 + 9 + 16) / 8


def test_draws_in_proportion_and_averages_to_the_expected_value():
    window = np.broadcast_to(np.array([1.0, 0.0, 3.0, 4.0, -2.0])[:, None], (5, 20_000))
    drawn = np.ravel(functional.stochastic_pool(window, (5,), key=jax.random.key(1)))
    shares = [float((drawn == value).mean()) for value in (1, 0, 3, 4, -2)]
    # the standard error of a share is at most 0.0036
    np.testing.assert_allclose(shares, [1 / 8, 0, 3 / 8, 1 / 2, 0], atol=0.015)
    mean = functional.stochastic_pool(window[:, :1], (5,), deterministic=True).item()
    np.testing.assert_allclose(drawn.mean(), mean, atol=0.04)


def test_a_key_draws_the_samples():
    inputs, _, _, window, options = arguments("2d")
    inputs = inputs.astype(np.float32)
    outputs = functional.stochastic_pool(inputs, window, key=jax.random.key(5), **options)
    samples = jax.random.uniform(jax.random.key(5), outputs.shape, jnp.float32)
    again = functional.stochastic_pool(inputs, window, samples=samples, **options)
    np.testing.assert_array_equal(outputs, again)


def test_a_window_without_a_positive_element_gives_zero_and_no_gradient():
    line = np.array([0.0, 0, -1, 0, -3, -2, -4, 0])[:, None]
    samples, options = np.full((4, 1), 0.7), dict(strides=2)
    for result in both(np.ones((4, 1)), line, samples, (2,), options):
        assert not any(np.asarray(array).any() for array in result)


def test_nan_and_infinity_come_out():
    line = np.array([1, np.nan, np.inf, 2, np.inf, 3, 1, 1])[:, None]
    samples, options = np.full((4, 1), 0.9), dict(strides=2)
    results = both(np.ones((4, 1)), line, samples, (2,), options)
    for outputs, _ in results:
        assert np.ravel(outputs).tolist()[1:] == [np.inf, np.inf, 1] and np.isnan(outputs[0, 0])
    _, gradient = results[0]
    assert np.ravel(gradient).tolist() == [0, 1, 1, 0, 1, 0, 0, 1]


@pytest.mark.parametrize("factor", [1e-300, 1e300])
def test_neither_small_nor_large_values_lose_their_proportions(factor):
    inputs, samples, cotangent, window, options = arguments("2d")
    for given in ways(samples):
        outputs = functional.stochastic_pool(inputs * factor, window, **given, **options)
        expected = reference.stochastic_pool(inputs, window, **given, **options)
        np.testing.assert_allclose(outputs / factor, expected, rtol=1e-10)


def test_the_largest_sample_still_draws_an_element():
    line = np.array([0.3, 0.3, 0.7, 0.1, 0.0], np.float32)[:, None]
    almost = np.nextafter(np.float32(1), np.float32(0)).reshape(1, 1)
    outputs = functional.stochastic_pool(line, (5,), samples=almost)
    assert outputs.item() == np.float32(0.1)
    finer = np.nextafter(1.0, 0.0).reshape(1, 1)
    assert functional.stochastic_pool(line, (5,), samples=finer).item() == np.float32(0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, jnp.bfloat16])
def test_other_floats(dtype):
    inputs, samples, cotangent, window, options = arguments("1d, two batch axes")
    inputs, cotangent = inputs.astype(dtype), cotangent.astype(dtype)
    results = both(cotangent, inputs, samples, window, options)
    wide, wide_cotangent = inputs.astype(np.float64), cotangent.astype(np.float64)
    # float32 throughout, a few operations, and one rounding to the dtype
    atol = 16 * float(jnp.finfo(dtype).eps)
    for given, (outputs, gradient) in zip(ways(samples), results, strict=True):
        assert outputs.dtype == gradient.dtype == dtype
        expected = reference.stochastic_pool(wide, window, **given, **options)
        (hand,) = reference.stochastic_pool_vjp(wide_cotangent, wide, window, **given, **options)
        np.testing.assert_allclose(np.float64(outputs), expected, atol=atol)
        np.testing.assert_allclose(np.float64(gradient), hand, atol=atol)


def test_derivatives_and_transformations():
    rng = np.random.default_rng(0)
    inputs, samples = rng.uniform(0.5, 2, (1, 4, 5, 2)), rng.random((1, 3, 4, 2))
    pool = functools.partial(functional.stochastic_pool, window_shape=(2, 2))
    hand = functools.partial(reference.stochastic_pool_vjp, window_shape=(2, 2))
    check_gradients(
        lambda x, u: pool(x, samples=u),
        (inputs, samples),
        vjp=lambda c, x, u: (*hand(c, x, samples=u), np.zeros_like(u)),
    )
    check_gradients(
        lambda x: pool(x, deterministic=True),
        (inputs,),
        vjp=lambda c, x: hand(c, x, deterministic=True),
        order=2,
    )
    check_transforms(
        lambda x, u: pool(x, samples=u), (inputs, samples), argnums=0, transforms=("vmap",)
    )


def test_the_gradient_scatters_nothing():
    inputs, samples, cotangent, window, options = arguments("2d")
    options, beside = options | {"window_shape": window}, {"samples": samples}
    for function in (drawn, in_the_mean):
        assert "scatter" not in program(function, cotangent, inputs, options, beside)


FINE, U = np.zeros((2, 5, 4, 3)), np.zeros((2, 4, 3, 3))


@pytest.mark.parametrize(
    "inputs, window, options, error, message",
    [
        (FINE, 2, dict(samples=U), TypeError, "`window_shape` .=2. must be a tuple"),
        (FINE, (2, 0), dict(samples=U), ValueError, "must be at least 1"),
        (FINE, (2, 5), dict(samples=U), ValueError, "spans 5 pixels"),
        (FINE, (2, 2), dict(), ValueError, "exactly one of `samples` and `key`.*got neither"),
        (FINE, (2, 2), dict(samples=U, key=jax.random.key(0)), ValueError, "got both"),
        (FINE, (2, 2), dict(samples=U[:1]), ValueError, r"must be \(2, 4, 3, 3\); received"),
        (FINE, (2, 2), dict(samples=U + 1), ValueError, r"must lie in \[0, 1\)"),
        (FINE, (2, 2), dict(samples=U, deterministic=True), ValueError, "takes no `samples`"),
        (FINE, (2, 2), dict(samples=U, deterministic=1), TypeError, "must be True or False"),
        (FINE, (2, 2), dict(samples=U, ceil_mode=None), TypeError, "must be True or False"),
        (FINE, (2, 2), dict(samples=U, padding="HALF"), ValueError, "`padding`"),
        (FINE.astype(int), (2, 2), dict(samples=U), TypeError, "`inputs` must hold floats"),
        (FINE.astype(complex), (2, 2), dict(samples=U), TypeError, "`inputs` must hold floats"),
        (np.zeros((2, 0, 4, 3)), (2, 2), dict(samples=U), ValueError, "no empty spatial axis"),
        (np.zeros((5, 3)), (2, 2), dict(samples=U), ValueError, "with 2 spatial axes"),
    ],
)
def test_bad_input(inputs, window, options, error, message):
    with pytest.raises(error, match=f"^stochastic_pool: .*{message}"):
        functional.stochastic_pool(inputs, window, **options)
