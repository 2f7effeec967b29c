"""The windows of a pool one by one, as lists of the pixels in them."""

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from jaxcnn import geometry
from jaxcnn.geometry import IntPerAxis, Windows
from jaxcnn.reference import _taps

Place = tuple[int, ...]
PADDING_MODES = ("identity", *geometry.PADDING_MODES)


def windowed(
    inputs: np.ndarray,
    window_shape: tuple[int, ...],
    strides,
    padding,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
) -> tuple[np.ndarray, Windows, str, tuple[int, ...]]:
    """Flattens the batch to (n, *spatial, channels) and works out where the windows lie.

    Returns the array, the windows, the fill of the padding and the batch axes.
    """
    if padding_mode not in PADDING_MODES:
        raise ValueError(f"`padding_mode` (={padding_mode!r}) is none of its fills")
    window_shape = geometry.axes_tuple("window_shape", window_shape)
    rank = len(window_shape)
    x = _taps.flatten_batch(_taps.as_float(inputs), rank)
    windows = geometry.windows(
        x.shape[1:-1],
        window_shape,
        strides=1 if strides is None else strides,
        padding=padding,
        dilation=window_dilation,
        ceil_mode=ceil_mode,
    )
    return x, windows, padding_mode, _taps.batch_shape(inputs, rank)


def pixels_by_window(
    windows: Windows, mode: str = "identity"
) -> Iterator[tuple[Place, list[Place | None]]]:
    """Yields each window's place in the output and the input pixels in it, in row-major order.

    Padding that shows a pixel stands as that pixel, and padding with zeros as None. Padding with
    the reducer's identity is left out, and so is what hangs over the padding under `ceil_mode`.
    """
    sources = [
        _taps.source_index(n, low, high, mode)
        for n, (low, high) in zip(windows.sizes, windows.padding, strict=True)
    ]
    for place in np.ndindex(windows.output_shape):
        along = [
            [int(source[u]) for u in range(i * s, i * s + d * (k - 1) + 1, d) if u < len(source)]
            for i, s, d, k, source in zip(
                place, windows.strides, windows.dilation, windows.window_shape, sources, strict=True
            )
        ]
        pixels = [None if min(pixel) < 0 else pixel for pixel in itertools.product(*along)]
        yield place, [p for p in pixels if p is not None] if mode == "identity" else pixels


def read(x: np.ndarray, pixels: list[Place | None]) -> np.ndarray:
    """The values (taps, n, channels) of a window's pixels, zeros where it is None."""
    zeros = np.zeros((len(x), x.shape[-1]), x.dtype)
    values = [zeros if pixel is None else x[at(pixel)] for pixel in pixels]
    return np.array(values, x.dtype).reshape((len(pixels), *zeros.shape))


def at(place: Place) -> tuple:
    """Indexes (n, *spatial, channels) at one spatial place: (n, channels)."""
    return (slice(None), *place)


def reduce_windows(
    x: np.ndarray,
    windows: Windows,
    mode: str,
    reduce: Callable[[Place, list[Place | None]], np.ndarray],
) -> np.ndarray:
    """Lays out what `reduce` makes of each window, (n, channels), as (n, *out, channels)."""
    out = np.zeros((len(x), *windows.output_shape, x.shape[-1]), x.dtype)
    for place, pixels in pixels_by_window(windows, mode):
        out[at(place)] = reduce(place, pixels)
    return out


def reduce_windows_vjp(
    x: np.ndarray,
    cotangent: np.ndarray,
    windows: Windows,
    mode: str,
    shares: Callable[[Place, list[Place | None]], np.ndarray],
) -> np.ndarray:
    """Adds each window's cotangent, times its shares (taps, n, channels), to the pixels in it."""
    g = _taps.flatten_batch(_taps.as_float(cotangent), windows.rank)
    gradient = np.zeros(x.shape, np.result_type(x, g))
    for place, pixels in pixels_by_window(windows, mode):
        for pixel, share in zip(pixels, shares(place, pixels), strict=True):
            if pixel is not None:
                # A share of 0 takes nothing, not even of a cotangent that is no number.
                gradient[at(pixel)] += np.where(share == 0, 0, share * g[at(place)])
    return gradient
