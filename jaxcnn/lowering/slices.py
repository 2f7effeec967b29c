"""Windows as shifted slices: for each tap, the pixel that it meets in every window at once.

Tap a of all windows along an axis is the strided slice x[a*d], x[a*d + s], x[a*d + 2*s], ... of the
padded input. A loop over the taps of a window, each a slice, computes anything that a loop over
windows would, and its transpose is made of `lax.pad` and sums: no scatter, the same result each
time.
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Integer, Shaped

from jaxcnn.geometry import Windows, surely_below

Tap = tuple[int, ...]


def pad_for_windows(
    inputs: Shaped[Array, "n *spatial channels"], windows: Windows, fill: ArrayLike
) -> Shaped[Array, "n *padded channels"]:
    """Pads the spatial axes with `fill` until the last window ends exactly at the end.

    Pixels at the end that no window reaches are cut off. With `input_dilation` the fill also goes
    between neighbours.
    """
    config = (
        (0, 0, 0),
        *(
            (low, high, step - 1)
            for (low, high), step in zip(
                windows.fitted_padding, windows.input_dilation, strict=True
            )
        ),
        (0, 0, 0),
    )
    if not any(map(any, config)):
        return inputs
    return lax.pad(inputs, jnp.asarray(fill, inputs.dtype), config)


def taps(windows: Windows) -> Iterator[Tap]:
    """All taps of a window in row-major order, as one index per spatial axis."""
    return itertools.product(*map(range, windows.window_shape))


def tap_slice(
    padded: Shaped[Array, "n *padded channels"], windows: Windows, tap: Tap
) -> Shaped[Array, "n *out channels"]:
    """What `tap` meets in every window of an input that `pad_for_windows` returned."""
    starts = [a * d for a, d in zip(tap, windows.dilation, strict=True)]
    ends = [
        start + (count - 1) * s + 1
        for start, count, s in zip(starts, windows.output_shape, windows.strides, strict=True)
    ]
    n, channels = padded.shape[0], padded.shape[-1]
    return lax.slice(padded, (0, *starts, 0), (n, *ends, channels), (1, *windows.strides, 1))


def tap_slices(
    padded: Shaped[Array, "n *padded channels"], windows: Windows
) -> Iterator[tuple[Tap, Shaped[Array, "n *out channels"]]]:
    """Yields every tap in row-major order with what it meets in every window."""
    for tap in taps(windows):
        yield tap, tap_slice(padded, windows, tap)


def padded_taps(
    inputs: Shaped[Array, "n *spatial channels"], windows: Windows, fill: ArrayLike
) -> Iterator[Shaped[Array, "n *out channels"]]:
    """Yields what every tap meets in every window, in row-major order, `fill` in the padding.

    Where the sizes are known each tap is cut out of the inputs and padded by itself. One padded
    array that all taps read is one that XLA's GPU compiler may write to memory first: compiled for
    an H100, a 3x3 maximum of 64 images of 16x16 windows is one kernel so, and two over it.
    """
    if not windows.known or max(windows.input_dilation) > 1:
        yield from (met for _, met in tap_slices(pad_for_windows(inputs, windows, fill), windows))
        return
    for tap in taps(windows):
        starts, ends, amounts = [], [], []
        for axis, a in enumerate(tap):
            seen = np.flatnonzero(windows.tap_in_input(axis, a))
            count, s = windows.output_shape[axis], windows.strides[axis]
            first, last = (seen[0], seen[-1]) if seen.size else (0, -1)
            start = a * windows.dilation[axis] - windows.padding[axis][0] + int(first) * s
            starts.append(start if seen.size else 0)
            ends.append(start + int(last - first) * s + 1 if seen.size else 0)
            amounts.append((int(first), count - 1 - int(last), 0) if seen.size else (count, 0, 0))
        n, channels = inputs.shape[0], inputs.shape[-1]
        met = lax.slice(inputs, (0, *starts, 0), (n, *ends, channels), (1, *windows.strides, 1))
        if any(map(any, amounts)):
            fills = jnp.asarray(fill, inputs.dtype)
            met = lax.pad(met, fills, ((0, 0, 0), *amounts, (0, 0, 0)))
        yield met


def axis_slice(
    values: Shaped[Array, "n ..."],
    windows: Windows,
    axis: int,
    tap: int,
    slice_in_dim: Callable[..., Array] = lax.slice_in_dim,
) -> Array:
    """What `tap` meets along spatial `axis` alone; the other axes stay whole.

    A computation that separates by axes takes sum(k) of these where it would take prod(k) of
    `tap_slice`.
    """
    start, s = tap * windows.dilation[axis], windows.strides[axis]
    end = start + (windows.output_shape[axis] - 1) * s + 1
    return slice_in_dim(values, start, end, s, axis + 1)


def place_axis_slice(
    values: Shaped[Array, "n ..."], windows: Windows, axis: int, tap: int
) -> Array:
    """The transpose of padding and `axis_slice`: puts values where `tap` met them, zeros elsewhere.

    What `tap` met in the padding is dropped.
    """
    start = tap * windows.dilation[axis] - windows.padding[axis][0]
    count, s = windows.output_shape[axis], windows.strides[axis]
    rest = windows.dilated_sizes[axis] - start - ((count - 1) * s + 1)
    config = [(0, 0, 0)] * values.ndim
    config[axis + 1] = (start, rest, s - 1)
    return lax.pad(values, jnp.zeros((), values.dtype), config)


def real_pixels(
    windows: Windows, axis: int, real: Bool[Array, " rows"] | None = None
) -> np.ndarray | Bool[Array, " padded"]:
    """Which pixels along `axis` are the input's and not padding, once it is padded.

    `real` says so for the rows, the first axis, where some of the input's own only stand for it.
    """
    low, high = windows.fitted_padding[axis]
    if axis == 0 and real is not None:
        return lax.pad(real, False, ((low, high, 0),))
    size = low + windows.sizes[axis] + high
    if windows.known_along(axis):
        place = np.arange(size) - low
    else:
        place = lax.iota(jnp.int32, size) - low
    return (place >= 0) & (place < windows.sizes[axis])


def inside(
    windows: Windows, axis: int, tap: int, real: Bool[Array, " rows"] | None = None
) -> Bool[np.ndarray | Array, " out"]:
    """For every window along `axis`, whether its `tap` falls on the input: computed if unknown.

    `real` as in `real_pixels`.
    """
    if axis == 0 and real is not None:
        start, s = tap * windows.dilation[0], windows.strides[0]
        pixels = jnp.asarray(real_pixels(windows, 0, real))
        return lax.slice_in_dim(pixels, start, start + (windows.output_shape[0] - 1) * s + 1, s)
    if windows.known_along(axis):
        return np.array(windows.tap_in_input(axis, tap))
    place = window_starts(windows, axis) + tap * windows.dilation[axis]
    return (place >= 0) & (place < windows.dilated_sizes[axis])


def entered(
    windows: Windows, axis: int, tap: int, real: Bool[Array, " rows"] | None = None
) -> Bool[np.ndarray | Array, " out"]:
    """For every window along `axis`, whether `tap`, not its first, is its first on the input."""
    return inside(windows, axis, tap, real) & ~inside(windows, axis, tap - 1, real)


def tap_counts(
    windows: Windows, axis: int, include_padding: bool
) -> Integer[np.ndarray | Array, "#out"]:
    """For every window along `axis`, or for all, how many taps fall on the input or its padding."""
    if windows.known_along(axis):
        return np.array(windows.tap_counts(axis, include_padding=include_padding))
    (low, high), size = windows.padding[axis], windows.window_shape[axis]
    overhang = windows.fitted_padding[axis][1] - high
    if surely_below(overhang, 1) and (include_padding or (low, high) == (0, 0)):
        return np.array([size])
    first, last = (-low, high) if include_padding else (0, 0)
    last += windows.dilated_sizes[axis]
    start, d = window_starts(windows, axis), windows.dilation[axis]
    before, until = (jnp.clip(-((start - edge) // d), 0, size) for edge in (first, last))
    return until - before


def window_starts(windows: Windows, axis: int) -> Integer[Array, " out"]:
    """Where windows along `axis` start on the input, for sizes that are not known."""
    low, _ = windows.padding[axis]
    return lax.iota(jnp.int32, windows.output_shape[axis]) * windows.strides[axis] - low


def tap_mask(
    windows: Windows, tap: Tap, real: Bool[Array, " rows"] | None = None
) -> Bool[Array, "1 *out 1"] | None:
    """Whether `tap` falls on the input, not into the padding, in each window; None if in all."""
    mask = None
    for axis, a in enumerate(tap):
        seen = inside(windows, axis, a, real)
        if not isinstance(seen, np.ndarray) or not seen.all():
            along = lay_along(seen, windows, axis)
            mask = along if mask is None else mask & along
    return None if mask is None else jnp.broadcast_to(mask, (1, *windows.output_shape, 1))


def first_tap(
    windows: Windows, dtype: np.dtype, real: Bool[Array, " rows"] | None = None
) -> Shaped[Array, "1 *out 1"]:
    """Row-major position of the first tap of each window that falls on the input.

    In a window without one it is some tap.
    """
    position = jnp.zeros((1, *windows.output_shape, 1), dtype)
    for axis, size in enumerate(windows.window_shape):
        weight = math.prod(windows.window_shape[axis + 1 :])
        terms = [
            entered(windows, axis, tap, real).astype(dtype) * dtype.type(tap * weight)
            for tap in range(1, size)
        ]
        if terms:
            position += lay_along(functools.reduce(operator.add, terms), windows, axis)
    return position


def lay_along(values: np.ndarray | Array, windows: Windows, axis: int) -> Array:
    """Lays a vector along spatial `axis` of an array of rank + 2 axes."""
    shape = [1] * (windows.rank + 2)
    shape[axis + 1] = -1
    return jnp.asarray(values.reshape(shape))
