"""Norms and log-sum-exps of windows: pools between the average and the maximum."""

import math
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Num

from jaxcnn._checks import dtypes, options, pools
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.functional._pooling import logsumexp_choice, max_choice, sum_choice
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.lowering import choose, fill
from jaxcnn.lowering.dtypes import widen
from jaxcnn.lowering.problem import Typed


@planned("inputs")
def lp_pool(
    inputs: Num[Array, "*batch_and_spatial channels"],
    norm_order: float,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
    algorithm: str = "auto",
) -> Float[Array, "*batch_and_out channels"]:
    """Takes the p-norm of each window, per channel.

        out[n, i, j, c] = (sum over a, b of |x[n, i*s + a*d, j*s + b*d, c]|^p)^(1/p)

    with x the inputs after padding with zeros. p = 1 sums magnitudes, p = 2 is the Euclidean norm
    and p = inf the largest magnitude. The gradient is sign(x) * (|x| / out)^(p - 1), and 0 where x
    is 0. The magnitudes are raised to p as they are, 16-bit ones in float32. Where their sum
    exceeds the largest number of that dtype the norm is inf, where every power is below the
    smallest it is 0, both with a gradient of 0: scale the inputs to keep |x|^p in between.

    PyTorch's `lp_pool2d` leaves the magnitude out, which gives NaN for negative inputs at odd p,
    and at an overhang multiplies by k / (taps inside) under the root; ONNX's LpPool is as here.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      norm_order: p > 0, a number known before tracing.
      window_shape: taps of a window, a tuple with one int per spatial axis.
      strides: pixels between windows, per spatial axis; None means 1.
      padding: as in `max_pool`.
      padding_mode: as in `avg_pool`.
      window_dilation: pixels between neighbouring taps, per spatial axis.
      ceil_mode: as in `max_pool`.
      algorithm: "auto", or the name of one lowering.
    Returns:
      `(*batch, *out, channels)`, sizes as in `max_pool`, in the inputs' dtype; integers give the
      float dtype that `jnp.mean` would.
    Raises:
      ValueError: shapes or options disagree, or p is not above 0.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> x = jnp.array([[3.0], [-4.0], [0.0]])
      >>> [F.lp_pool(x, p, (2,)).ravel().tolist() for p in (1, 2, jnp.inf)]
      [[7.0, 4.0], [5.0, 4.0], [4.0, 4.0]]

    References:
      P. Sermanet, S. Chintala and Y. LeCun, Convolutional neural networks applied to house numbers
      digit classification, 2012.
    """
    dtype = _real(inputs)
    p = options.norm_order(norm_order)
    if p == math.inf and padding_mode == "identity":
        padding_mode = "zeros"  # neutral among magnitudes, in a window of padding alone too
    batch, windows, fill_mode = pools.windows(
        inputs,
        window_shape,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
        neutral="identity" if p == math.inf else "zeros",
    )
    if p == math.inf:
        choice = max_choice(windows, fill_mode, algorithm, inputs)
    else:
        choice = sum_choice(windows, fill_mode, algorithm)
    return to_run(
        _norm,
        batch=batch,
        choice=choice,
        windows=windows,
        fill_mode=fill_mode,
        p=p,
        dtype=dtype,
        algorithm=algorithm,
    )


@planned("inputs")
def logsumexp_pool(
    inputs: Num[Array, "*batch_and_spatial channels"],
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
    algorithm: str = "auto",
) -> Float[Array, "*batch_and_out channels"]:
    """Takes log(sum(exp)) of each window, per channel: a maximum whose gradient is shared out.

        out[n, i, j, c] = log(sum over a, b of exp(x[n, i*s + a*d, j*s + b*d, c]))

    It lies between the maximum and the maximum plus log(taps), and no exponential overflows. Each
    element takes the share exp(x - out) of the gradient, the softmax of its window. Padding counts
    as -inf, that is, not at all. A window of -inf gives -inf with a gradient of 0; one with inf
    gives inf, with a gradient that its infinite elements share.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      window_shape: taps of a window, a tuple with one int per spatial axis.
      strides: pixels between windows, per spatial axis; None means 1.
      padding: as in `max_pool`.
      padding_mode: as in `max_pool`.
      window_dilation: pixels between neighbouring taps, per spatial axis.
      ceil_mode: as in `max_pool`.
      algorithm: "auto", or the name of one lowering.
    Returns:
      `(*batch, *out, channels)`, sizes as in `max_pool`, in the inputs' dtype; integers give the
      float dtype that `jnp.mean` would.
    Raises:
      ValueError: shapes or options disagree, or not one window fits.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> x = jnp.log(jnp.array([[1.0], [2.0], [5.0]]))
      >>> jnp.exp(F.logsumexp_pool(x, (2,))).round(4).ravel()
      Array([3., 7.], dtype=float32)
    """
    dtype = _real(inputs)
    batch, windows, fill_mode = pools.windows(
        inputs,
        window_shape,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
    )
    return to_run(
        _logsumexp,
        batch=batch,
        choice=logsumexp_choice(windows, fill_mode, algorithm),
        windows=windows,
        fill_mode=fill_mode,
        dtype=dtype,
        algorithm=algorithm,
    )


def _real(inputs: Typed) -> Any:
    """The dtype to return: that of an average of real numbers."""
    dtypes.comparable(inputs)
    return dtypes.averageable(inputs)


def _norm(
    inputs: Array, *, windows: Windows, fill_mode: str | None, p: float, dtype: Any, algorithm: str
) -> Array:
    laid, windows = fill.lay(inputs.astype(dtype), windows, fill_mode)
    wide = widen(laid)
    if p == math.inf:
        outputs = choose.max_pool(_magnitude(wide), windows, True, algorithm)
    else:
        outputs = _root(choose.sum_pool(_power(wide, p), windows, algorithm), p)
    return outputs.astype(dtype)


def _logsumexp(
    inputs: Array, *, windows: Windows, fill_mode: str | None, dtype: Any, algorithm: str
) -> Array:
    laid, windows = fill.lay(inputs.astype(dtype), windows, fill_mode)
    return choose.logsumexp_pool(widen(laid), windows, algorithm).astype(dtype)


def _magnitude(x: Array) -> Array:
    """|x| with the derivative 0 at 0, where that of `jnp.abs` is 1."""
    return jnp.where(x == 0, jnp.zeros((), x.dtype), jnp.abs(x))


def _power(x: Array, p: float) -> Array:
    """|x|^p, whose derivative at 0 is 0 and whose second one is right wherever it exists."""
    if p.is_integer() and p < 128:
        return lax.integer_pow(x if p % 2 == 0 else _magnitude(x), int(p))
    # The derivative of a power at 0 is a product with log(0) or 0^(p - 1): keep 0 out of it.
    zero, one = jnp.zeros((), x.dtype), jnp.ones((), x.dtype)
    inner = jnp.where(x == 0, one, jnp.abs(x))
    return jnp.where(x == 0, zero, lax.pow(inner, jnp.asarray(p, x.dtype)))


def _root(sums: Array, p: float) -> Array:
    """sums^(1/p), with the derivative 0 at 0 in place of infinity."""
    if p == 1:
        return sums
    zero, one = jnp.zeros((), sums.dtype), jnp.ones((), sums.dtype)
    inner = jnp.where(sums == 0, one, sums)
    roots = lax.sqrt(inner) if p == 2 else lax.pow(inner, jnp.asarray(1 / p, sums.dtype))
    return jnp.where(sums == 0, zero, roots)
