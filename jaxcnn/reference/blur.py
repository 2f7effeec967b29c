"""Blur pooling by explicit sums, and its gradient derived by hand."""

import math

import numpy as np

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.reference import _taps


@named
def blur_pool(
    inputs: np.ndarray,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding | None = None,
    *,
    padding_mode: str = "reflect",
) -> np.ndarray:
    """Averages each window with binomial weights.

        out[i] = sum over a of f[a] * x[i*s + a],    f[a] = (k - 1 choose a) / 2**(k - 1)

    i and a run over as many axes as there are spatial ones, f is then the product of one factor per
    axis, and x is the padded input.

    Args:
      inputs: `(*batch, *spatial, channels)`.
      window_shape: k per axis.
      strides: s, pixels between windows; None means 1.
      padding: any form that `jaxcnn.functional.blur_pool` takes.
      padding_mode: "reflect", "replicate", "circular" or "zeros".
    Returns:
      `(*batch, *out, channels)` in float64, or complex128.
    """
    x, windows = _prepare(inputs, window_shape, strides, padding)
    padded = _taps.dilate_and_pad(x, windows, padding_mode)
    out = np.zeros((len(x), *windows.output_shape, x.shape[-1]), x.dtype)
    for tap, where in _taps.taps(windows):
        out += _weight(tap, window_shape) * padded[where]
    return _taps.restore_batch(out, _taps.batch_shape(inputs, windows.rank))


@named
def blur_pool_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding | None = None,
    *,
    padding_mode: str = "reflect",
) -> tuple[np.ndarray]:
    """Pulls the cotangent of `blur_pool` back to the inputs.

    The padded pixel v meets tap a of window i where v = i*s + a, with the weight f[a]:

        dL/dx[v] = sum over i, a with i*s + a = v of f[a] * g[i]

    and what arrives at a padded pixel belongs to the input pixel that it shows.

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `blur_pool`.
      window_shape: as for `blur_pool`.
      strides: as for `blur_pool`.
      padding: as for `blur_pool`.
      padding_mode: as for `blur_pool`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    x, windows = _prepare(inputs, window_shape, strides, padding)
    g = _taps.flatten_batch(_taps.as_float(cotangent), windows.rank)
    padded = np.zeros((len(x), *windows.padded().sizes, x.shape[-1]), np.result_type(x, g))
    for tap, where in _taps.taps(windows):
        padded[where] += _weight(tap, window_shape) * g
    return (_taps.dilate_and_pad_vjp(padded, windows, padding_mode).reshape(np.shape(inputs)),)


def _prepare(inputs, window_shape, strides, padding) -> tuple[np.ndarray, Windows]:
    """Flattens the batch and works out where the windows lie."""
    x = _taps.flatten_batch(_taps.as_float(inputs), len(window_shape))
    if padding is None:
        padding = tuple(((k - 1) // 2, k // 2) for k in window_shape)
    strides = 1 if strides is None else strides
    sizes = x.shape[1:-1]
    return x, geometry.windows(sizes, window_shape, strides=strides, padding=padding)


def _weight(tap: tuple[int, ...], window_shape: tuple[int, ...]) -> float:
    """The product over the axes of (k - 1 choose a) / 2**(k - 1)."""
    return math.prod(
        math.comb(k - 1, a) / 2 ** (k - 1) for a, k in zip(tap, window_shape, strict=True)
    )
