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
    values = np.pad(rng.standard_normal((2, size, 3)), ((0, 0), *windows.padding, (0, 0)))
    return windows, values, taps


def values_and_transposes(functions, windows, values, rng):
    """What each function gives, and what its transpose makes of one cotangent."""

    @jax.jit
    def run(values, cotangent):
        pairs = [jax.vjp(function, values) for function in functions]
        return [(found, back(cotangent)[0]) for found, back in pairs]

    return run(values, rng.standard_normal((2, *windows.output_shape, 3)))


@pytest.mark.parametrize("case", CASES)
def test_sum_and_transpose_are_those_of_the_slices(case, rng):
    windows, values, taps = prepare(case, rng)

    def plain(x):
        return sum(slices.axis_slice(x, windows, 0, tap) for tap in range(taps))

    functions = (lambda x: tap_sum(x, windows, 0)), plain
    found, expected = values_and_transposes(functions, windows, values, rng)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-12)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_with_positions_one_tap_counts(case, rng):
    windows, values, taps = prepare(case, rng)
    position = rng.integers(0, taps, (2, *windows.output_shape, 3)).astype(np.uint8)

    def plain(x):
        along = jnp.stack([slices.axis_slice(x, windows, 0, tap) for tap in range(taps)])
        return jnp.take_along_axis(along, position[None].astype(np.int32), 0)[0]

    functions = (lambda x: tap_sum(x, windows, 0, jnp.asarray(position))), plain
    found, expected = values_and_transposes(functions, windows, values, rng)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], atol=1e-12)


def test_the_transpose_pads_once_an_axis(rng):
    windows, values, _ = prepare("overlapping", rng)
    cotangent = np.ones((2, *windows.output_shape, 3))
    back = jax.linear_transpose(lambda x: tap_sum(x, windows, 0), values)
    text = jax.jit(back).lower(cotangent).compile().as_text()
    assert sum(" pad(" in line for line in text.splitlines()) <= 1
