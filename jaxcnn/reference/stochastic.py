"""Stochastic pooling given its samples, its expected value, and their gradients by hand.

W(i) is the list of pixels in the window at place i, in row-major order, w[a] = max(x[a], 0) the
weight of pixel a, T = the sum of w over W(i) its total, and g[i] = dL/d out[i] the cotangent.
"""

import numpy as np

from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.reference._taps import flatten_batch, restore_batch
from jaxcnn.reference._windows import at, read, reduce_windows, reduce_windows_vjp, windowed


@named
def stochastic_pool(
    inputs: np.ndarray,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
    samples: np.ndarray | None = None,
    deterministic: bool = False,
) -> np.ndarray:
    """Draws an element of each window with probability w[a] / T, or takes the expected value.

        out[i] = x[l],   l the first pixel of W(i) with sum over a <= l of w[a] > samples[i] * T
        out[i] = sum over a of w[a]**2 / T                                      (deterministic)

    0 where T = 0. With infinities in the window all other weights count as 0 and theirs as 1, and
    the same with NaN.

    Args:
      inputs: `(*batch, *spatial, channels)`.
      window_shape: taps per axis.
      strides: pixels between windows; None means 1.
      padding: any form that `jaxcnn.functional.stochastic_pool` takes.
      window_dilation: pixels between neighbouring taps.
      ceil_mode: whether a last window may hang over the end.
      samples: `(*batch, *out, channels)` in [0, 1).
      deterministic: takes the expected value.
    Returns:
      `(*batch, *out, channels)` in float64.
    """
    x, windows, mode, batch = windowed(
        inputs, window_shape, strides, padding,
        window_dilation=window_dilation, ceil_mode=ceil_mode,
    )  # fmt: skip
    u = None if samples is None else flatten_batch(np.asarray(samples), windows.rank)

    def pooled(place, pixels):
        values = read(x, pixels)
        if u is None or deterministic:
            return _expected(values)
        return np.where(_drawn(values, u[at(place)]), values, 0).sum(0)

    return restore_batch(reduce_windows(x, windows, mode, pooled), batch)


@named
def stochastic_pool_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
    samples: np.ndarray | None = None,
    deterministic: bool = False,
) -> tuple[np.ndarray]:
    """Pulls the cotangent of `stochastic_pool` back to the inputs.

    Given the samples, the pixel l(i) drawn is constant in a neighbourhood of x, as T and the
    partial sums are continuous, so out[i] = x[l(i)] has the derivative 1 there, and

        dL/dx[a] = sum over i with l(i) = a of g[i]

    The expected value Q / T, with Q the sum of w**2, has by the quotient rule

        d out[i] / d w[a] = (2 w[a] T - Q) / T**2 = (2 w[a] - out[i]) / T

    and d w[a] / d x[a] = 1 where x[a] > 0, else 0 (at x[a] = 0 by choice). Where T = 0, or infinity
    comes out of the expected value, all are 0.

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `stochastic_pool`.
      window_shape: as for `stochastic_pool`.
      strides: as for `stochastic_pool`.
      padding: as for `stochastic_pool`.
      window_dilation: as for `stochastic_pool`.
      ceil_mode: as for `stochastic_pool`.
      samples: as for `stochastic_pool`.
      deterministic: as for `stochastic_pool`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    x, windows, mode, _ = windowed(
        inputs, window_shape, strides, padding,
        window_dilation=window_dilation, ceil_mode=ceil_mode,
    )  # fmt: skip
    u = None if samples is None else flatten_batch(np.asarray(samples), windows.rank)

    def shares(place, pixels):
        values = read(x, pixels)
        if u is not None and not deterministic:
            return _drawn(values, u[at(place)])
        weights = np.where(values > 0, values, 0)
        total = weights.sum(0)
        finite = np.isfinite(total) & (total > 0)
        slopes = (2 * weights - _expected(values)) / np.where(finite, total, 1)
        return np.where(finite & (values > 0), slopes, 0)

    gradient = reduce_windows_vjp(x, cotangent, windows, mode, shares)
    return (gradient.reshape(np.shape(inputs)),)


def _weights(values: np.ndarray) -> np.ndarray:
    """w of (taps, n, channels), with infinities or NaN reduced to ones."""
    weights = np.where(values <= 0, 0, values)
    infinite, nan = np.isinf(weights), np.isnan(weights)
    weights = np.where(infinite.any(0), infinite, weights)
    return np.where(nan.any(0), nan, weights).astype(float)


def _drawn(values: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Marks the tap drawn; none where all weights are 0."""
    running = np.cumsum(_weights(values), 0)
    passed = running > u * running[-1:]
    return passed & (np.cumsum(passed, 0) == 1)


def _expected(values: np.ndarray) -> np.ndarray:
    """The mean weighted by the weights themselves."""
    weights = _weights(values)
    total = weights.sum(0)
    kept = np.where(weights == 0, 0, values)
    return (weights * kept).sum(0) / np.where(total == 0, 1, total)
