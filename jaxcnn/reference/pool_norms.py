"""Norms and log-sum-exps of windows, and their gradients derived by hand.

The notation is that of `jaxcnn.reference.pool`: W(i) is the window at place i, g[i] the cotangent,
and every gradient is the sum, over the windows that hold a pixel, of g[i] times d out[i] / d x[u].
"""

import numpy as np

from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.reference._taps import restore_batch
from jaxcnn.reference._windows import read, reduce_windows, reduce_windows_vjp, windowed
from jaxcnn.reference.pool import first_largest


@named
def lp_pool(
    inputs: np.ndarray,
    norm_order: float,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
) -> np.ndarray:
    """Takes the p-norm of each window.

        out[i] = (sum over u in W(i) of |x[u]|^p)^(1/p),      max over u of |x[u]| for p = inf

    Args:
      inputs: `(*batch, *spatial, channels)`.
      norm_order: p > 0.
      window_shape: as for `max_pool`.
      strides: as for `max_pool`.
      padding: as for `max_pool`.
      padding_mode: as for `max_pool`.
      window_dilation: as for `max_pool`.
      ceil_mode: as for `max_pool`.
    Returns:
      `(*batch, *out, channels)` in float64.
    """
    x, windows, mode, batch = windowed(
        inputs, window_shape, strides, padding, padding_mode, window_dilation, ceil_mode
    )

    def norm(place, pixels):
        return _norm(np.abs(read(x, pixels)), norm_order)

    return restore_batch(reduce_windows(x, windows, mode, norm), batch)


@named
def lp_pool_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    norm_order: float,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
) -> tuple[np.ndarray]:
    """Pulls the cotangent of `lp_pool` back to the inputs.

    With S = sum over v of |x[v]|^p and out = S^(1/p),

        d out / d x[u] = (1/p) * S^(1/p - 1) * p * |x[u]|^(p - 1) * sign(x[u])
                       = (|x[u]| / out)^(p - 1) * sign(x[u]),

    since S^(1/p - 1) = out^(1 - p). At x[u] = 0 the share is 0 by convention, which is the
    derivative for p > 1 and a subgradient for p = 1, and a window of zeros has no gradient. For
    p = inf the share is sign(x[u]) at the first largest magnitude and 0 elsewhere.

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `lp_pool`.
      norm_order: as for `lp_pool`.
      window_shape: as for `max_pool`.
      strides: as for `max_pool`.
      padding: as for `max_pool`.
      padding_mode: as for `max_pool`.
      window_dilation: as for `max_pool`.
      ceil_mode: as for `max_pool`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    x, windows, mode, _ = windowed(
        inputs, window_shape, strides, padding, padding_mode, window_dilation, ceil_mode
    )

    def shares(place, pixels):
        values = read(x, pixels)
        size = np.abs(values)
        if not pixels:
            return size
        if norm_order == np.inf:
            first = np.arange(len(pixels))[:, None, None] == first_largest(size)
            return first * np.sign(values)
        out = _norm(size, norm_order)
        ratio = np.where(values == 0, 1, size) / np.where(out == 0, 1, out)
        return ratio ** (norm_order - 1) * np.sign(values)

    gradient = reduce_windows_vjp(x, cotangent, windows, mode, shares)
    return (gradient.reshape(np.shape(inputs)),)


@named
def logsumexp_pool(
    inputs: np.ndarray,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
) -> np.ndarray:
    """Takes log(sum(exp)) of each window.

        out[i] = log(sum over u in W(i) of exp(x[u])),      -inf for a window of -inf or of nothing

    Args:
      inputs: `(*batch, *spatial, channels)`.
      window_shape: as for `max_pool`.
      strides: as for `max_pool`.
      padding: as for `max_pool`.
      padding_mode: as for `max_pool`.
      window_dilation: as for `max_pool`.
      ceil_mode: as for `max_pool`.
    Returns:
      `(*batch, *out, channels)` in float64.
    """
    x, windows, mode, batch = windowed(
        inputs,
        window_shape,
        strides,
        padding,
        padding_mode,
        window_dilation,
        ceil_mode,
    )

    def log_sum(place, pixels):
        return np.logaddexp.reduce(read(x, pixels), axis=0, initial=-np.inf)

    return restore_batch(reduce_windows(x, windows, mode, log_sum), batch)


@named
def logsumexp_pool_vjp(
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
    """Pulls the cotangent of `logsumexp_pool` back to the inputs.

    With S = sum over v of exp(x[v]) and out = log(S),

        d out / d x[u] = exp(x[u]) / S = exp(x[u] - out),

    the softmax of the window: the shares are positive and sum to 1. In a window of -inf S is 0 and
    stays so to first order in exp(x): the shares are 0. Both are taken relative to the largest x,
    so that in a window with inf the infinite elements share alike.

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `logsumexp_pool`.
      window_shape: as for `max_pool`.
      strides: as for `max_pool`.
      padding: as for `max_pool`.
      padding_mode: as for `max_pool`.
      window_dilation: as for `max_pool`.
      ceil_mode: as for `max_pool`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    x, windows, mode, _ = windowed(
        inputs,
        window_shape,
        strides,
        padding,
        padding_mode,
        window_dilation,
        ceil_mode,
    )

    def shares(place, pixels):
        values = read(x, pixels)
        top = values.max(0, initial=-np.inf)
        top = np.where(top == -np.inf, 0, top)
        size = np.exp(np.subtract(values, top, out=np.zeros_like(values), where=values != top))
        total = size.sum(0)
        return size / np.where(total == 0, 1, total)

    gradient = reduce_windows_vjp(x, cotangent, windows, mode, shares)
    return (gradient.reshape(np.shape(inputs)),)


def _norm(size: np.ndarray, p: float) -> np.ndarray:
    """The p-norm over the first axis, 0 of nothing."""
    return size.max(0, initial=0.0) if p == np.inf else (size**p).sum(0) ** (1 / p)
