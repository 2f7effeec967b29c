"""Pooling with any reducer, and its gradient derived by hand from that of the reducer."""

from collections.abc import Callable

import numpy as np

from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.reference import _taps
from jaxcnn.reference._windows import at, pixels_by_window, read, windowed

Reducer = Callable[[np.ndarray, np.ndarray], np.ndarray]
ReducerVjp = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@named
def pool(
    inputs: np.ndarray,
    init: float,
    reduce_fn: Reducer,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    window_dilation: IntPerAxis = 1,
) -> np.ndarray:
    """Reduces each window from its first tap to its last.

        r[0] = init,    r[t] = f(r[t - 1], x[u_t]),    out[i] = r[T]

    for the taps u_1, ..., u_T of W(i), with x[u] = init in the padding.

    Args:
      inputs: `(*batch, *spatial, channels)`.
      init: the neutral element of f.
      reduce_fn: f, of two arrays (n, channels).
      window_shape: as for `max_pool`.
      strides: as for `max_pool`.
      padding: as for `max_pool`.
      window_dilation: as for `max_pool`.
    Returns:
      `(*batch, *out, channels)` in float64.
    """
    x, windows, _, batch = windowed(
        inputs, window_shape, strides, padding, window_dilation=window_dilation
    )
    out = np.zeros((len(x), *windows.output_shape, x.shape[-1]), x.dtype)
    for place, pixels in pixels_by_window(windows, "zeros"):
        out[at(place)] = _partial_results(_values(x, pixels, init), init, reduce_fn)[-1]
    return _taps.restore_batch(out, batch)


@named
def pool_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    init: float,
    reduce_fn: Reducer,
    reduce_vjp: ReducerVjp,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    window_dilation: IntPerAxis = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Pulls the cotangent of `pool` back to the inputs and to `init`.

    Write h[t] = dL/dr[t]. It starts as h[T] = g[i], and each step of the recursion is one use of f:

        dL/dx[u_t]  +=  h[t] * (d f / d second)(r[t - 1], x[u_t])
        h[t - 1]     =  h[t] * (d f / d first)(r[t - 1], x[u_t])

    so that one sweep from the last tap to the first gives all of them. dL/d init is the sum of the
    h[0] of all windows and of what arrives in the padding. (This is reverse mode in small: the
    sweep needs every r[t - 1] again.)

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `pool`.
      init: as for `pool`.
      reduce_fn: f.
      reduce_vjp: from (h, left, right) the gradients of f with respect to left and right.
      window_shape: as for `max_pool`.
      strides: as for `max_pool`.
      padding: as for `max_pool`.
      window_dilation: as for `max_pool`.
    Returns:
      The gradients of inputs and init.
    """
    x, windows, _, _ = windowed(
        inputs, window_shape, strides, padding, window_dilation=window_dilation
    )
    g = _taps.flatten_batch(_taps.as_float(cotangent), windows.rank)
    d_inputs, d_init = np.zeros_like(x), np.zeros(())
    for place, pixels in pixels_by_window(windows, "zeros"):
        values = _values(x, pixels, init)
        results = _partial_results(values, init, reduce_fn)
        h = g[at(place)]
        for t, pixel in reversed(list(enumerate(pixels))):
            h, d_pixel = reduce_vjp(h, results[t], values[t])
            if pixel is None:
                d_init = d_init + d_pixel.sum()
            else:
                d_inputs[at(pixel)] += d_pixel
        d_init = d_init + h.sum()
    return d_inputs.reshape(np.shape(inputs)), d_init


def _values(x: np.ndarray, pixels: list, init: float) -> np.ndarray:
    """The values (taps, n, channels) of a window, `init` in the padding."""
    padded = np.array([pixel is None for pixel in pixels])[:, None, None]
    return np.where(padded, init, read(x, pixels))


def _partial_results(values: np.ndarray, init: float, reduce_fn: Reducer) -> list[np.ndarray]:
    """r[0], ..., r[T]."""
    results = [np.full(values.shape[1:], init, values.dtype)]
    for value in values:
        results.append(reduce_fn(results[-1], value))
    return results
