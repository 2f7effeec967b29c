"""Maximum and minimum, average and sum of windows, for any number of spatial axes."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num

from jaxcnn import geometry
from jaxcnn._checks import dtypes, options, pools
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.functional._pooling import max_choice, sum_choice
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.lowering import choose, fill, slices
from jaxcnn.lowering.dtypes import widen
from jaxcnn.lowering.problem import Typed


@planned("inputs")
def max_pool(
    inputs: Num[Array, "*batch_and_spatial channels"],
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
    algorithm: str = "auto",
) -> Num[Array, "*batch_and_out channels"]:
    """Takes the largest element of each window, per channel.

        out[n, i, j, c] = max over a, b of x[n, i*s + a*d, j*s + b*d, c]

    with x the inputs after padding. The whole gradient of an output goes to one element of its
    window: the first in row-major order that reaches the maximum. A NaN in a window comes out of
    it, and the gradient goes to the first NaN. A window of -inf gives -inf, and its gradient goes
    to a pixel of the inputs, never into the padding.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included; floats or
        integers.
      window_shape: taps of a window, a tuple with one int per spatial axis.
      strides: pixels between windows, per spatial axis; None means 1.
      padding: "SAME" (ceil(n / s) windows, the odd pixel at the end), "SAME_LOWER" (at the start),
        "VALID" (none), "FULL" (e - 1 on both sides, e = d*(k - 1) + 1), "CAUSAL" (e - 1 before, one
        spatial axis), an int, or an int or (low, high) pair per spatial axis.
      padding_mode: what stands in the padding: "identity" (nothing that could win), "zeros",
        "reflect" (without repeating the edge), "replicate" or "circular".
      window_dilation: pixels between neighbouring taps, per spatial axis.
      ceil_mode: rounds the number of windows up, so that the last may hang over the end; one that
        would start in the padding at the end is dropped, as in PyTorch.
      algorithm: "auto", or the name of one lowering.
    Returns:
      `(*batch, *out, channels)`, out = floor((n + p_lo + p_hi - d*(k - 1) - 1) / s) + 1, in the
      inputs' dtype.
    Raises:
      ValueError: shapes or options disagree, not one window fits, or a window lies wholly in the
        padding.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> F.max_pool(jnp.ones((8, 28, 28, 6)), (2, 2), strides=2).shape
      (8, 14, 14, 6)
      >>> x = jnp.array([[1.0], [3.0], [3.0], [2.0]])
      >>> F.max_pool(x, (3,), padding="SAME").ravel()
      Array([3., 3., 3., 3.], dtype=float32)
      >>> jax.grad(lambda x: F.max_pool(x, (3,)).sum())(x).ravel()  # both windows: the first 3
      Array([0., 2., 0., 0.], dtype=float32)
    """
    return _extreme(
        True,
        algorithm,
        inputs,
        window_shape,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
    )


@planned("inputs")
def min_pool(
    inputs: Num[Array, "*batch_and_spatial channels"],
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
    algorithm: str = "auto",
) -> Num[Array, "*batch_and_out channels"]:
    """Takes the smallest element of each window, per channel.

        out[n, i, j, c] = min over a, b of x[n, i*s + a*d, j*s + b*d, c]

    Everything else is as in `max_pool`: the first minimum in row-major order takes the whole
    gradient, a NaN comes out, a window of +inf sends its gradient to a pixel of the inputs.

    Args:
      inputs: `(*batch, *spatial, channels)`, floats or integers.
      window_shape: as in `max_pool`.
      strides: as in `max_pool`.
      padding: as in `max_pool`.
      padding_mode: as in `max_pool`.
      window_dilation: as in `max_pool`.
      ceil_mode: as in `max_pool`.
      algorithm: as in `max_pool`.
    Returns:
      `(*batch, *out, channels)`, sizes and dtype as in `max_pool`.
    Raises:
      ValueError: as `max_pool`.
      TypeError: as `max_pool`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> F.min_pool(jnp.array([[4], [1], [3], [2]]), (2,), (2,)).ravel()
      Array([1, 2], dtype=int32)
    """
    return _extreme(
        False,
        algorithm,
        inputs,
        window_shape,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
    )


@planned("inputs")
def avg_pool(
    inputs: Num[Array, "*batch_and_spatial channels"],
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    count_include_pad: bool = True,
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
    divisor_override: int | None = None,
    algorithm: str = "auto",
) -> Num[Array, "*batch_and_out channels"]:
    """Averages each window, per channel.

        out[n, i, j, c] = (sum over a, b of x[n, i*s + a*d, j*s + b*d, c]) / count[i, j]

    with x the inputs after padding with zeros, and count the number of taps on the input and its
    padding, or on the input alone where `count_include_pad` is False. What hangs over the padding
    under `ceil_mode` is never counted. A window without a pixel to count gives 0 with a gradient
    of 0. Floats of 16 bits are added in float32. The sum comes first: one beyond the largest number
    of its dtype gives inf, four times 1e38 in float32 for instance.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      window_shape: taps of a window, a tuple with one int per spatial axis.
      strides: pixels between windows, per spatial axis; None means 1.
      padding: as in `max_pool`.
      count_include_pad: whether the padding counts in the divisor.
      padding_mode: what stands in the padding: "identity" or "zeros" (the same here), or a fill as
        in `max_pool`, which always counts.
      window_dilation: pixels between neighbouring taps, per spatial axis.
      ceil_mode: as in `max_pool`.
      divisor_override: divides every window in place of count; not 0, may be negative.
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
      >>> x = jnp.arange(1.0, 7.0).reshape(6, 1)
      >>> F.avg_pool(x, (3,), 2, 1, ceil_mode=True).ravel()
      Array([1., 3., 5., 3.], dtype=float32)
      >>> F.avg_pool(x, (3,), 2, 1, False, ceil_mode=True).ravel()
      Array([1.5, 3. , 5. , 6. ], dtype=float32)
    """
    dtype = dtypes.averageable(inputs)
    include_padding = options.flag("count_include_pad", count_include_pad)
    batch, windows, fill_mode = pools.windows(
        inputs,
        window_shape,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
        neutral="zeros",
    )
    if not include_padding and padding_mode not in ("identity", "zeros"):
        raise ValueError(
            "`count_include_pad` (=False) must be True where padding is filled with "
            f"pixels; received padding_mode {padding_mode!r}; use 'zeros'"
        )
    divisor = None
    if divisor_override is not None:
        divisor = geometry.whole_number("divisor_override", divisor_override)
        if divisor == 0:
            raise ValueError("`divisor_override` (=0) must not be 0")
    return to_run(
        _average,
        batch=batch,
        choice=sum_choice(windows, fill_mode, algorithm),
        windows=windows,
        fill_mode=fill_mode,
        include_padding=include_padding,
        divisor=divisor,
        dtype=dtype,
        algorithm=algorithm,
    )


@planned("inputs")
def sum_pool(
    inputs: Num[Array, "*batch_and_spatial channels"],
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
    algorithm: str = "auto",
) -> Num[Array, "*batch_and_out channels"]:
    """Adds up each window, per channel.

        out[n, i, j, c] = sum over a, b of x[n, i*s + a*d, j*s + b*d, c]

    with x the inputs after padding with zeros. Floats of 16 bits are added in float32.

    Args:
      inputs: `(*batch, *spatial, channels)`.
      window_shape: as in `max_pool`.
      strides: as in `max_pool`.
      padding: as in `max_pool`.
      padding_mode: as in `avg_pool`.
      window_dilation: as in `max_pool`.
      ceil_mode: as in `max_pool`.
      algorithm: as in `avg_pool`.
    Returns:
      `(*batch, *out, channels)`, sizes as in `max_pool`; floats and complex numbers keep their
      dtype, integers and booleans give that of `jnp.sum`.
    Raises:
      ValueError: shapes or options disagree, or not one window fits.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> F.sum_pool(jnp.array([[1], [2], [4], [8]]), (2,)).ravel()
      Array([ 3,  6, 12], dtype=int32)
    """
    batch, windows, fill_mode = pools.windows(
        inputs,
        window_shape,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
        neutral="zeros",
    )
    return to_run(
        _sum,
        batch=batch,
        choice=sum_choice(windows, fill_mode, algorithm),
        windows=windows,
        fill_mode=fill_mode,
        dtype=jax.eval_shape(jnp.sum, jax.ShapeDtypeStruct((1,), inputs.dtype)).dtype,
        algorithm=algorithm,
    )


def _extreme(
    largest: bool, algorithm: str, inputs: Typed, window_shape: tuple[int, ...], **where: Any
) -> Any:
    """Plans `max_pool` and `min_pool`."""
    dtypes.comparable(inputs)
    batch, windows, fill_mode = pools.windows(inputs, window_shape, **where)
    if fill_mode is None:
        geometry.refuse_window_in_padding(windows)
    return to_run(
        _most,
        batch=batch,
        choice=max_choice(windows, fill_mode, algorithm, inputs),
        windows=windows,
        fill_mode=fill_mode,
        largest=largest,
        algorithm=algorithm,
    )


def _most(
    inputs: Array, *, windows: Windows, fill_mode: str | None, largest: bool, algorithm: str
) -> Array:
    laid, windows = fill.lay(inputs, windows, fill_mode)
    return choose.max_pool(laid, windows, largest, algorithm)


def _average(
    inputs: Array,
    *,
    windows: Windows,
    fill_mode: str | None,
    include_padding: bool,
    divisor: int | None,
    dtype: Any,
    algorithm: str,
) -> Array:
    laid, windows = fill.lay(inputs.astype(dtype), windows, fill_mode)
    sums = choose.sum_pool(widen(laid), windows, algorithm)
    factors = _counts(windows, include_padding) if divisor is None else [float(divisor)]
    return (sums / math.prod(jnp.asarray(factor, sums.dtype) for factor in factors)).astype(dtype)


def _sum(
    inputs: Array, *, windows: Windows, fill_mode: str | None, dtype: Any, algorithm: str
) -> Array:
    laid, windows = fill.lay(inputs.astype(dtype), windows, fill_mode)
    return choose.sum_pool(widen(laid), windows, algorithm).astype(dtype)


def _counts(windows: Windows, include_padding: bool) -> list[float | Array]:
    """The factors of what sums are divided by: a number, and for each axis on which windows differ
    an array along it; their product would be a constant as large as the outputs.
    """
    same, factors = 1, []
    for axis in range(windows.rank):
        counts = slices.tap_counts(windows, axis, include_padding)
        if isinstance(counts, np.ndarray) and (counts == counts[0]).all():
            same *= max(int(counts[0]), 1)
        else:
            factors.append(slices.lay_along(counts.clip(1), windows, axis))
    return [float(same), *factors] if same != 1 or not factors else factors
