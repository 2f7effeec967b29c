"""The sum over taps along one axis, in the form that is made to be transposed."""

import jax
import numpy as np
import pytest

from jaxcnn import geometry
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
    windows = geometry.windows((size,), (taps,), **options)
    values = np.pad(rng.standard_normal((2, size, 3)), ((0, 0), *windows.padding, (0, 0)))
    return windows, values, taps


def by_hand(windows, values, cotangent, counts):
    """The sum of what each tap that counts meets, and its transpose, pixel by pixel."""
    first, between = np.arange(windows.output_shape[0]), np.arange(windows.window_shape[0])
    pixels = first[:, None] * windows.strides[0] + between * windows.dilation[0]
    back = np.zeros_like(values)
    np.add.at(back, (slice(None), pixels), cotangent[:, :, None] * counts)
    return (values[:, pixels] * counts).sum(2), back


@pytest.mark.parametrize("case", CASES)
def test_sum_and_transpose_are_those_of_all_taps_or_of_the_one_that_counts(case, rng):
    windows, values, taps = prepare(case, rng)
    shape = (2, *windows.output_shape, 3)
    position, cotangent = rng.integers(0, taps, shape).astype(np.uint8), rng.standard_normal(shape)
    counts = position[:, :, None] == np.arange(taps)[:, None]

    def run(cotangent, values, *positions):
        found, back = jax.vjp(lambda x: tap_sum(x, windows, 0, *positions), values)
        return found, back(cotangent)[0]

    both = jax.jit(lambda c, x, at: (run(c, x), run(c, x, at)))(cotangent, values, position)
    for (found, back), chosen in zip(both, (1, counts), strict=True):
        expected, expected_back = by_hand(windows, values, cotangent, chosen)
        np.testing.assert_allclose(found, expected, atol=1e-12)
        np.testing.assert_allclose(back, expected_back, atol=1e-12)


def test_the_transpose_pads_once_an_axis(rng):
    windows, values, _ = prepare("overlapping", rng)
    cotangent = np.ones((2, *windows.output_shape, 3))
    back = jax.linear_transpose(lambda x: tap_sum(x, windows, 0), values)
    text = jax.jit(back).lower(cotangent).compile().as_text()
    assert sum(" pad(" in line for line in text.splitlines()) <= 1
