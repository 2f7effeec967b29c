"""Windows as shifted slices: what each tap meets, where it lies, and the transposes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import geometry
from jaxcnn.lowering import slices

CASES = {
    "1d": ((7,), (3,), dict(strides=2)),
    "1d between the taps": ((1,), (2,), dict(padding=((2, 2),), dilation=2)),
    "2d": ((6, 5), (3, 2), dict(padding=((2, 1), (0, 2)), strides=(2, 1), dilation=(1, 2))),
    "2d cut": ((8, 9), (2, 2), dict(strides=(3, 4), padding=((0, 1), (2, 0)))),
    "2d ceil": ((6, 7), (3, 2), dict(strides=2, padding=(1, 0), ceil_mode=True)),
    "3d": ((3, 4, 2), (2, 3, 1), dict(padding=1)),
}


def case_windows(case):
    sizes, window_shape, options = CASES[case]
    return geometry.windows(sizes, window_shape, **options)


def met(windows, inputs, window, tap):
    """The pixel under one tap of one window, or None in the padding."""
    pixel = tuple(
        i * s + a * d - low
        for i, s, a, d, (low, _) in zip(
            window, windows.strides, tap, windows.dilation, windows.padding, strict=True
        )
    )
    inside = all(0 <= u < n for u, n in zip(pixel, windows.sizes, strict=True))
    return inputs[(slice(None), *pixel)] if inside else None


@pytest.mark.parametrize("case", CASES)
def test_each_tap_meets_its_pixel_or_the_fill(case, rng):
    windows = case_windows(case)
    inputs = rng.standard_normal((2, *windows.sizes, 3))

    @jax.jit
    def look(inputs):
        padded = slices.pad_for_windows(inputs, windows, 99.0)
        taps, values = zip(*slices.tap_slices(padded, windows), strict=True)
        by_axes = [axis_by_axis(padded, tap) for tap in taps]
        masks = [slices.tap_mask(windows, tap) for tap in taps]
        everywhere = jnp.ones((1, *windows.output_shape, 1), bool)
        masks = [everywhere if mask is None else mask for mask in masks]
        first = slices.first_tap(windows, np.dtype(np.int8))
        return first, jnp.array(taps), *map(jnp.stack, (values, by_axes, masks))

    def axis_by_axis(along, tap):
        for axis, a in enumerate(tap):
            along = slices.axis_slice(along, windows, axis, a)
        return along

    first, taps, values, by_axes, masks = jax.device_get(look(inputs))
    np.testing.assert_array_equal(by_axes, values)  # slices along one axis compose to those of taps
    first = first[0, ..., 0]
    seen = {window: [] for window in np.ndindex(*windows.output_shape)}
    for position, (tap, value, mask) in enumerate(zip(taps, values, masks, strict=True)):
        for window in np.ndindex(*windows.output_shape):
            pixel = met(windows, inputs, window, tap)
            assert mask[0, *window, 0] == (pixel is not None)
            expected = np.full((2, 3), 99.0) if pixel is None else pixel
            np.testing.assert_array_equal(value[(slice(None), *window)], expected)
            if pixel is not None:
                seen[window].append(position)
    for window, positions in seen.items():
        assert not positions or first[window] == positions[0]


@pytest.mark.parametrize("case", CASES)
def test_placing_is_the_transpose_of_padding_and_slicing(case, rng):
    windows = case_windows(case)
    for axis in range(windows.rank):
        one = geometry.Windows(
            windows.sizes[axis : axis + 1],
            windows.window_shape[axis : axis + 1],
            windows.strides[axis : axis + 1],
            windows.padding[axis : axis + 1],
            windows.dilation[axis : axis + 1],
            (1,),
            windows.output_shape[axis : axis + 1],
        )

        @jax.jit
        def both_ways(cotangent, one=one):
            pairs = []
            for tap in range(one.window_shape[0]):
                pull = jax.linear_transpose(
                    lambda x: slices.axis_slice(slices.pad_for_windows(x, one, 0), one, 0, tap),  # noqa: B023
                    jax.ShapeDtypeStruct((2, *one.sizes, 3), np.float64),
                )
                pairs.append((slices.place_axis_slice(cotangent, one, 0, tap), *pull(cotangent)))
            return pairs

        for placed, pulled in both_ways(rng.standard_normal((2, *one.output_shape, 3))):
            np.testing.assert_array_equal(placed, pulled)


def test_no_padding_returns_the_array_itself():
    windows = case_windows("1d")
    inputs = jnp.ones((2, 7, 3))
    assert slices.pad_for_windows(inputs, windows, 0) is inputs
