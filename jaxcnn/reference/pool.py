"""Maximum, minimum, average and sum of windows, and their gradients derived by hand.

One notation throughout: W(i) is the list of pixels u in the window at place i, in row-major order,
x[u] the value there and g[i] = dL/d out[i] the cotangent. A pool is a function of each window
alone, so that by the chain rule

    dL/dx[u] = sum over the windows i that hold u of g[i] * (d out[i] / d x[u])

and all that is left is the derivative of one output with respect to one element of its window: the
share of that element. Channels and batch never mix.
"""

import numpy as np

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.reference._taps import restore_batch
from jaxcnn.reference._windows import read, reduce_windows, reduce_windows_vjp, windowed


@named
def max_pool(
    inputs: np.ndarray,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
) -> np.ndarray:
    """Takes the largest element of each window.

        out[i] = max over u in W(i) of x[u],      NaN if one of them is NaN

    With `padding_mode` "identity" padded pixels belong to no window; with "zeros" they are zeros.

    Args:
      inputs: `(*batch, *spatial, channels)`.
      window_shape: taps per axis.
      strides: pixels between windows; None means 1.
      padding: any form that `jaxcnn.functional.max_pool` takes.
      padding_mode: "identity", "zeros", "reflect", "replicate" or "circular".
      window_dilation: pixels between neighbouring taps.
      ceil_mode: whether a last window may hang over the end.
    Returns:
      `(*batch, *out, channels)` in float64.
    """
    x, windows, mode, batch = _extreme(
        inputs, window_shape, strides, padding, padding_mode, window_dilation, ceil_mode
    )

    def largest(place, pixels):
        values = read(x, pixels)
        return np.take_along_axis(values, first_largest(values)[None], 0)[0]

    return restore_batch(reduce_windows(x, windows, mode, largest), batch)


@named
def max_pool_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
) -> tuple[np.ndarray]:
    """Pulls the cotangent of `max_pool` back to the inputs.

    Where one element w of the window is above all others, out = x[w] stays true in a neighbourhood
    of x, so that d out / d x[w] = 1 and d out / d x[u] = 0 for the others. Where several are equal
    the maximum has no derivative; any weights that are not negative and sum to 1 are a subgradient,
    and the choice here is all of it to the first in row-major order. A NaN counts as above all:

        w(i) = the first NaN in W(i), else the first u in W(i) with x[u] = out[i]
        dL/dx[u] = sum over i with w(i) = u of g[i]

    A padded pixel that shows a pixel of the input hands its share to it; one that shows 0 keeps it.

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `max_pool`.
      window_shape: as for `max_pool`.
      strides: as for `max_pool`.
      padding: as for `max_pool`.
      padding_mode: as for `max_pool`.
      window_dilation: as for `max_pool`.
      ceil_mode: as for `max_pool`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    x, windows, mode, _ = _extreme(
        inputs, window_shape, strides, padding, padding_mode, window_dilation, ceil_mode
    )

    def shares(place, pixels):
        return np.arange(len(pixels))[:, None, None] == first_largest(read(x, pixels))

    gradient = reduce_windows_vjp(x, cotangent, windows, mode, shares)
    return (gradient.reshape(np.shape(inputs)),)


@named
def min_pool(inputs: np.ndarray, *args, **options) -> np.ndarray:
    """Takes the smallest element of each window: min over u of x[u] = -max over u of -x[u].

    Args:
      inputs: `(*batch, *spatial, channels)`.
      *args: as for `max_pool`.
      **options: as for `max_pool`.
    Returns:
      `(*batch, *out, channels)` in float64.
    """
    return -max_pool(-np.asarray(inputs, np.float64), *args, **options)


@named
def min_pool_vjp(cotangent: np.ndarray, inputs: np.ndarray, *args, **options) -> tuple[np.ndarray]:
    """Pulls the cotangent of `min_pool` back to the inputs.

    With m the map of `max_pool` and out = -m(-x), the chain rule multiplies by -1 twice:

        dL/dx = -(-1) * m'(-x)^T g = m'(-x)^T g

    so that g goes to the first minimum in row-major order.

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `min_pool`.
      *args: as for `max_pool`.
      **options: as for `max_pool`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    return max_pool_vjp(cotangent, -np.asarray(inputs, np.float64), *args, **options)


@named
def avg_pool(
    inputs: np.ndarray,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    count_include_pad: bool = True,
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
    divisor_override: int | None = None,
) -> np.ndarray:
    """Averages each window.

        out[i] = (sum over u in W(i) of x[u]) / count(i)

    count(i) is the number of taps on the input and its padding, or on the input alone where
    `count_include_pad` is False, or `divisor_override`. What hangs over the padding under
    `ceil_mode` is no part of W(i). Where count(i) is 0, out[i] is 0.

    Args:
      inputs: `(*batch, *spatial, channels)`.
      window_shape: as for `max_pool`.
      strides: as for `max_pool`.
      padding: as for `max_pool`.
      count_include_pad: whether the padding counts.
      padding_mode: as for `max_pool`; "identity" and "zeros" are the same.
      window_dilation: as for `max_pool`.
      ceil_mode: as for `max_pool`.
      divisor_override: in place of count(i).
    Returns:
      `(*batch, *out, channels)` in float64.
    """
    x, windows, mode, batch = windowed(
        inputs, window_shape, strides, padding, padding_mode, window_dilation, ceil_mode
    )

    mode = "zeros" if mode == "identity" else mode

    def average(place, pixels):
        return read(x, pixels).sum(0) / _count(pixels, count_include_pad, divisor_override)

    return restore_batch(reduce_windows(x, windows, mode, average), batch)


@named
def avg_pool_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    count_include_pad: bool = True,
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
    divisor_override: int | None = None,
) -> tuple[np.ndarray]:
    """Pulls the cotangent of `avg_pool` back to the inputs.

    The average is linear and gives every element of the window the same weight 1 / count(i), which
    does not depend on x: the cotangent spreads evenly.

        dL/dx[u] = sum over the windows i that hold u of g[i] / count(i)

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `avg_pool`.
      window_shape: as for `avg_pool`.
      strides: as for `avg_pool`.
      padding: as for `avg_pool`.
      count_include_pad: as for `avg_pool`.
      padding_mode: as for `avg_pool`.
      window_dilation: as for `avg_pool`.
      ceil_mode: as for `avg_pool`.
      divisor_override: as for `avg_pool`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    x, windows, mode, _ = windowed(
        inputs, window_shape, strides, padding, padding_mode, window_dilation, ceil_mode
    )

    mode = "zeros" if mode == "identity" else mode

    def shares(place, pixels):
        count = _count(pixels, count_include_pad, divisor_override)
        return np.full((len(pixels), 1, 1), 1 / count)

    gradient = reduce_windows_vjp(x, cotangent, windows, mode, shares)
    return (gradient.reshape(np.shape(inputs)),)


@named
def sum_pool(inputs: np.ndarray, *args, **options) -> np.ndarray:
    """Adds up each window: the average with 1 as divisor.

    Args:
      inputs: `(*batch, *spatial, channels)`.
      *args: as for `max_pool`.
      **options: as for `max_pool`.
    Returns:
      `(*batch, *out, channels)` in float64, or complex128 for complex inputs.
    """
    return avg_pool(inputs, *args, **options, divisor_override=1)


@named
def sum_pool_vjp(cotangent: np.ndarray, inputs: np.ndarray, *args, **options) -> tuple[np.ndarray]:
    """Pulls the cotangent of `sum_pool` back: dL/dx[u] = sum over the i that hold u of g[i].

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `sum_pool`.
      *args: as for `max_pool`.
      **options: as for `max_pool`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    return avg_pool_vjp(cotangent, inputs, *args, **options, divisor_override=1)


def _extreme(inputs: np.ndarray, *options):
    """As `windowed`, and refuses a window of nothing."""
    x, windows, mode, batch = windowed(inputs, *options)
    if mode == "identity":
        geometry.refuse_window_in_padding(windows)
    return x, windows, mode, batch


@named
def first_largest(values: np.ndarray) -> np.ndarray:
    """Position along the first axis of the first NaN, else of the first maximum."""
    best = np.zeros(values.shape[1:], int)
    top = values[0]
    for tap, value in enumerate(values):
        wins = (value > top) | (np.isnan(value) & ~np.isnan(top))
        best, top = np.where(wins, tap, best), np.where(wins, value, top)
    return best


def _count(pixels: list, include_padding: bool, override: int | None) -> int:
    """What the sum over `pixels` is divided by."""
    if override is not None:
        return override
    return max(len(pixels) if include_padding else sum(p is not None for p in pixels), 1)
