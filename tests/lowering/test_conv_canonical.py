"""What the tangents of `conv_canonical` do to what is no number."""

import functools

import jax
import numpy as np
import pytest

from jaxcnn import functional, reference


@pytest.mark.parametrize("strides, kernel_size", [((2, 3), (3, 2)), ((2, 2), (7, 4))])
def test_a_cotangent_that_is_no_number_stays_with_what_its_window_sees(strides, kernel_size, rng):
    """Phases lie side by side as channels there, and few kernels are a multiple of the strides."""
    inputs = rng.standard_normal((2, 9, 10, 3))
    kernel = rng.standard_normal((*kernel_size, 3, 4))
    options = dict(strides=strides, padding=(1, 2))
    cotangent = rng.standard_normal(reference.conv(inputs, kernel, **options).shape)
    cotangent[0, 1, 2, 3], cotangent[1, 2, 0, 0] = np.nan, np.inf
    conv = functools.partial(functional.conv, **options, algorithm="canonical")
    pull = jax.jit(lambda x, k, g: jax.vjp(lambda x: conv(x, k), x)[1](g)[0])
    with np.errstate(invalid="ignore"):
        expected, *_ = reference.conv_vjp(cotangent, inputs, kernel, **options)
    assert 0 < np.isnan(expected).mean() < 0.2
    np.testing.assert_allclose(pull(inputs, kernel, cotangent), expected, rtol=1e-9, atol=1e-9)
