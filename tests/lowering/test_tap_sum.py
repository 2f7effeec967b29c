"""The sum over taps along one axis, in the form that is made to be transposed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import geometry
from jaxcnn.lowering import slices
from jaxcnn.lowering.tap_sum import tap_sum

# name: size, taps, options of geometry.windows
CASES = {
    "overlapping": (9, 3, dict(padding=((1, 2),))),
    "strided": (11, 5, dict(strides=2)),
    "side by side": (8, 2, dict(strides=2)),
    "gaps": (11, 2, dict(strides=4)),
    "dilated": (12, 3, dict(dilation=2, padding=((2, 0),))),
    "dilated, strided": (13, 3, dict(dilation=3, strides=2)),
    "one tap": (5, 1, dict(strides=2)),
}


def prepare(case, rng):
    size, taps, options = CASES[case]
    windows = geometry.windows("test", (size,), (taps,), **options)
    inputs = jnp.asarray(rng.standard_normal((2, size, 3)))
    return windows, slices.pad_for_windows(inputs, windows, 0), taps


@pytest.mark.parametrize("case", CASES)
def test_sum_and_transpose_are_those_of_the_slices(case, rng):
    windows, values, taps = prepare(case, rng)

    def plain(x):
        return sum(slices.axis_slice(x, windows, 0, tap) for tap in range(taps))

    found, back = jax.vjp(lambda x: tap_sum(x, windows, 0), values)
    expected, plain_back = jax.vjp(plain, values)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    cotangent = jnp.asarray(rng.standard_normal(found.shape))
    np.testing.assert_allclose(back(cotangent)[0], plain_back(cotangent)[0], atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_with_positions_one_tap_counts(case, rng):
    windows, values, taps = prepare(case, rng)
    position = jnp.asarray(rng.integers(0, taps, (2, *windows.output_shape, 3)), jnp.uint8)

    def plain(x):
        along = jnp.stack([slices.axis_slice(x, windows, 0, tap) for tap in range(taps)])
        return jnp.take_along_axis(along, position[None].astype(jnp.int32), 0)[0]

    found, back = jax.vjp(lambda x: tap_sum(x, windows, 0, position), values)
    expected, plain_back = jax.vjp(plain, values)
    np.testing.assert_array_equal(found, expected)
    cotangent = jnp.asarray(rng.standard_normal(found.shape))
    np.testing.assert_allclose(back(cotangent)[0], plain_back(cotangent)[0], atol=1e-12)


def test_the_transpose_pads_once_an_axis(rng):
    windows, values, _ = prepare("overlapping", rng)
    cotangent = jnp.ones((2, *windows.output_shape, 3))
    back = jax.vjp(lambda x: tap_sum(x, windows, 0), values)[1]
    text = jax.jit(back).lower(cotangent).compile().as_text()
    assert sum(" pad(" in line for line in text.splitlines()) <= 1
