"""Padding and taps in plain NumPy, written as index maps so that their transposes can be read off.

Along one axis, padded pixel u holds the input pixel `source[u]`, or a constant where `source[u]` is
-1. Tap a of window i lies on padded pixel i*s + a*d. Both maps are lists of integers; the transpose
of "copy pixel source[u] to u" is "add what arrives at u to pixel source[u]".
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxcnn import geometry
from jaxcnn.geometry import Windows


def as_float(array: np.ndarray) -> np.ndarray:
    """Returns the array in float64, or complex128 if it is complex."""
    array = np.asarray(array)
    return array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)


def lay_windows(
    inputs: np.ndarray,
    kernel_size: tuple[int, ...],
    *,
    strides: Any = 1,
    padding: Any = "SAME",
    padding_mode: str = "zeros",
    input_dilation: Any = 1,
    kernel_dilation: Any = 1,
) -> tuple[np.ndarray, Windows, str]:
    """Flattens the batch and works out where the windows lie and what fills the padding.

    Returns:
      The inputs as (n, *spatial, channels) in float64, the windows, and the fill.
    """
    rank = len(kernel_size)
    x = flatten_batch(as_float(inputs), rank)
    dilation = geometry.per_axis("kernel_dilation", kernel_dilation, rank)
    padding, mode = geometry.fill_and_amounts(padding, padding_mode, kernel_size, dilation)
    windows = geometry.windows(
        x.shape[1:-1],
        kernel_size,
        strides=strides,
        padding=padding,
        dilation=dilation,
        input_dilation=input_dilation,
        crop=True,
    )
    return x, windows, mode


def batch_shape(inputs: np.ndarray, rank: int) -> tuple[int, ...]:
    """The batch axes of `(*batch, *spatial, channels)`."""
    return np.shape(inputs)[: np.ndim(inputs) - rank - 1]


def channel_groups(in_features: int, out_features: int, count: int) -> list[tuple[slice, slice]]:
    """The input and output channels of each group."""
    a, b = in_features // count, out_features // count
    return [(slice(q * a, q * a + a), slice(q * b, q * b + b)) for q in range(count)]


def source_index(size: int, low: int, high: int, mode: str) -> np.ndarray:
    """For each pixel of a padded axis, the pixel of the axis that it shows; -1 for a constant.

    zeros      -1 -1 | 0 1 2 3 | -1      replicate   0 0 | 0 1 2 3 | 3
    reflect     2  1 | 0 1 2 3 |  2      circular    2 3 | 0 1 2 3 | 0
    """
    u = np.arange(-low, size + high)
    if mode == "replicate":
        return np.clip(u, 0, size - 1)
    if mode == "circular":
        return u % size
    if mode == "reflect":
        period = max(2 * (size - 1), 1)
        folded = u % period
        return np.where(folded < size, folded, period - folded)
    return np.where((u >= 0) & (u < size), u, -1)


def dilate_and_pad(inputs: np.ndarray, windows: Windows, mode: str = "zeros", fill: float = 0.0):
    """Dilates and pads the spatial axes of (n, *spatial, channels)."""
    outputs = inputs
    for axis, n in enumerate(windows.sizes, start=1):
        rate = windows.input_dilation[axis - 1]
        shape = list(outputs.shape)
        shape[axis] = rate * (n - 1) + 1
        dilated = np.zeros(shape, outputs.dtype)
        dilated[_at(axis, slice(None, None, rate))] = outputs
        index = source_index(shape[axis], *windows.padding[axis - 1], mode)
        outputs = np.take(dilated, index, axis)
        outputs[_at(axis, index < 0)] = fill
    return outputs


def dilate_and_pad_vjp(cotangent: np.ndarray, windows: Windows, mode: str = "zeros") -> np.ndarray:
    """Transposes `dilate_and_pad`: each padded pixel gives back to the pixel that it shows."""
    for axis, n in reversed(list(enumerate(windows.sizes, start=1))):
        rate = windows.input_dilation[axis - 1]
        shape = list(cotangent.shape)
        shape[axis] = rate * (n - 1) + 1
        index = source_index(shape[axis], *windows.padding[axis - 1], mode)
        dilated = np.zeros(shape, cotangent.dtype)
        for u, source in enumerate(index):
            if source >= 0:
                dilated[_at(axis, source)] += cotangent[_at(axis, u)]
        cotangent = dilated[_at(axis, slice(None, None, rate))]
    return cotangent


def taps(windows: Windows) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Yields each tap of a window, in row-major order, with where it lies for all windows at once.

    The slices select, from (n, *padded, channels), the pixel under this tap in every window.
    """
    for tap in itertools.product(*map(range, windows.window_shape)):
        where = tuple(
            slice(a * d, a * d + s * (count - 1) + 1, s)
            for a, d, s, count in zip(
                tap, windows.dilation, windows.strides, windows.output_shape, strict=True
            )
        )
        yield tap, (slice(None), *where)


def flatten_batch(inputs: np.ndarray, rank: int) -> np.ndarray:
    """Gathers all batch axes into one: (n, *spatial, channels)."""
    split = inputs.ndim - rank - 1
    return inputs.reshape((int(np.prod(inputs.shape[:split])), *inputs.shape[split:]))


def restore_batch(outputs: np.ndarray, batch: Sequence[int]) -> np.ndarray:
    """Undoes `flatten_batch` on what was computed from it."""
    return outputs.reshape((*batch, *outputs.shape[1:]))


def _at(axis: int, where) -> tuple:
    """An index that selects `where` along `axis` and everything along the axes before it."""
    return (*(slice(None),) * axis, where)
