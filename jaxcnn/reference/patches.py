"""Windows cut out and added back, tap by tap, and their gradients derived by hand."""

import numpy as np

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.reference import _taps


@named
def unfold(
    inputs: np.ndarray,
    window_shape: tuple[int, ...],
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "VALID",
    window_dilation: IntPerAxis = 1,
) -> np.ndarray:
    """Copies every window: out[i, a, c] = x[i*s + a*d, c], x the inputs padded with zeros.

    i and a run over as many axes as there are spatial ones.

    Args:
      inputs: `(*batch, *spatial, channels)`.
      window_shape: taps of a window.
      strides: s, pixels between windows.
      padding: any form that `jaxcnn.functional.unfold` takes.
      window_dilation: d, pixels between neighbouring taps.
    Returns:
      `(*batch, *out, *window_shape, channels)` in float64 or complex128.
    """
    rank = len(window_shape)
    x = _taps.as_float(inputs)
    batch, sizes = x.shape[: x.ndim - rank - 1], x.shape[x.ndim - rank - 1 : -1]
    windows = _windows(sizes, window_shape, strides, padding, window_dilation)
    padded = _taps.dilate_and_pad(_taps.flatten_batch(x, rank), windows)
    shape = (len(padded), *windows.output_shape, *window_shape, x.shape[-1])
    out = np.zeros(shape, x.dtype)
    for tap, where in _taps.taps(windows):
        out[_patch(rank, tap)] = padded[where]
    return _taps.restore_batch(out, batch)


@named
def unfold_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    window_shape: tuple[int, ...],
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "VALID",
    window_dilation: IntPerAxis = 1,
) -> tuple[np.ndarray]:
    """Pulls the cotangent g of `unfold` back to its argument.

    x[u, c] is copied to out[i, a, c] wherever i*s + a*d = u, each time with the factor 1:

        dL/dx[u, c] = sum over i, a with i*s + a*d = u of g[i, a, c]

    and what arrives at the padding is dropped. That sum is `fold` of g.

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `unfold`.
      window_shape: as for `unfold`.
      strides: as for `unfold`.
      padding: as for `unfold`.
      window_dilation: as for `unfold`.
    Returns:
      The gradient of the inputs.
    """
    sizes = np.shape(inputs)[-1 - len(window_shape) : -1]
    gradient = fold(
        cotangent, sizes, strides=strides, padding=padding, window_dilation=window_dilation
    )
    return (gradient,)


@named
def fold(
    patches: np.ndarray,
    output_shape: tuple[int, ...],
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "VALID",
    window_dilation: IntPerAxis = 1,
) -> np.ndarray:
    """Adds windows in place: out[u, c] = sum over i, a with i*s + a*d = u + p_lo of p[i, a, c].

    Args:
      patches: p, `(*batch, *out, *window_shape, channels)`.
      output_shape: spatial sizes of the result.
      strides: s, pixels between windows.
      padding: any form that `jaxcnn.functional.unfold` takes, worked out on `output_shape`.
      window_dilation: d, pixels between neighbouring taps.
    Returns:
      `(*batch, *output_shape, channels)` in float64 or complex128.
    """
    rank = len(output_shape)
    p = _taps.as_float(patches)
    batch, window_shape = p.shape[: p.ndim - 2 * rank - 1], p.shape[-1 - rank : -1]
    windows = _windows(output_shape, window_shape, strides, padding, window_dilation)
    p = _taps.flatten_batch(p, 2 * rank)
    padded = np.zeros((len(p), *windows.padded().sizes, p.shape[-1]), p.dtype)
    for tap, where in _taps.taps(windows):
        padded[where] += p[_patch(rank, tap)]
    return _taps.restore_batch(_taps.dilate_and_pad_vjp(padded, windows), batch)


@named
def fold_vjp(
    cotangent: np.ndarray,
    patches: np.ndarray,
    output_shape: tuple[int, ...],
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "VALID",
    window_dilation: IntPerAxis = 1,
) -> tuple[np.ndarray]:
    """Pulls the cotangent g of `fold` back to its argument.

    p[i, a, c] is added to the one pixel u = i*s + a*d - p_lo, or to none if that lies in the
    padding, where g counts as 0:

        dL/dp[i, a, c] = g[i*s + a*d - p_lo, c]

    That is `unfold` of g.

    Args:
      cotangent: g, of the output's shape.
      patches: as for `fold`.
      output_shape: as for `fold`.
      strides: as for `fold`.
      padding: as for `fold`.
      window_dilation: as for `fold`.
    Returns:
      The gradient of the patches.
    """
    window_shape = np.shape(patches)[-1 - len(output_shape) : -1]
    gradient = unfold(
        cotangent, window_shape, strides=strides, padding=padding, window_dilation=window_dilation
    )
    return (gradient,)


def _windows(sizes, window_shape, strides, padding, window_dilation) -> Windows:
    """Works out where the windows lie."""
    return geometry.windows(
        sizes,
        window_shape,
        strides=strides,
        padding=padding,
        dilation=window_dilation,
    )


def _patch(rank: int, tap: tuple[int, ...]) -> tuple:
    """One tap of every window, as an index into (n, *out, *window_shape, channels)."""
    return (slice(None),) * (rank + 1) + tap
