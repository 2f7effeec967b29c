"""Maximum and minimum, average and sum of windows, for any number of spatial axes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num

from jaxcnn import geometry
from jaxcnn.functional import _arguments, _dtypes
from jaxcnn.functional._program import program
from jaxcnn.functional._windows import windowed
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.lowering import choose, slices
from jaxcnn.lowering.dtypes import widen


@program("inputs", image=lambda window_shape, **_: len(window_shape) + 1)
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
    options = dict(padding_mode=padding_mode, window_dilation=window_dilation, ceil_mode=ceil_mode)
    return _extreme("max_pool", True, inputs, window_shape, strides, padding, algorithm, **options)


@program("inputs", image=lambda window_shape, **_: len(window_shape) + 1)
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
    options = dict(padding_mode=padding_mode, window_dilation=window_dilation, ceil_mode=ceil_mode)
    return _extreme("min_pool", False, inputs, window_shape, strides, padding, algorithm, **options)


@program("inputs", image=lambda window_shape, **_: len(window_shape) + 1)
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
    inputs = _dtypes.averageable("avg_pool", _arguments.array("avg_pool", "inputs", inputs))
    include_padding = _arguments.flag("avg_pool", "count_include_pad", count_include_pad)
    flat, windows, batch = windowed(
        "avg_pool",
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
            f"avg_pool: `count_include_pad` (=False) must be True where padding is filled with "
            f"pixels; received padding_mode {padding_mode!r}; use 'zeros'"
        )
    factors = _divisors(windows, include_padding, divisor_override)
    _arguments.choice("avg_pool", "algorithm", algorithm, ("auto", *choose.SUM_POOL_ALGORITHMS))
    sums = choose.sum_pool("avg_pool", widen(flat), windows, algorithm)
    divisor = math.prod(jnp.asarray(factor, sums.dtype) for factor in factors)
    outputs = (sums / divisor).astype(flat.dtype)
    return _arguments.restore_batch(outputs, batch)


@program("inputs", image=lambda window_shape, **_: len(window_shape) + 1)
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
    inputs = _arguments.array("sum_pool", "inputs", inputs)
    inputs = inputs.astype(jax.eval_shape(jnp.sum, inputs).dtype)
    flat, windows, batch = windowed(
        "sum_pool",
        inputs,
        window_shape,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
        neutral="zeros",
    )
    _arguments.choice("sum_pool", "algorithm", algorithm, ("auto", *choose.SUM_POOL_ALGORITHMS))
    sums = choose.sum_pool("sum_pool", widen(flat), windows, algorithm)
    return _arguments.restore_batch(sums.astype(flat.dtype), batch)


def _extreme(function, largest, inputs, window_shape, strides, padding, algorithm, **options):
    """The body of `max_pool` and `min_pool`."""
    inputs = _dtypes.comparable(function, _arguments.array(function, "inputs", inputs))
    flat, windows, batch = windowed(
        function, inputs, window_shape, strides=strides, padding=padding, **options
    )
    geometry.refuse_window_in_padding(function, windows)
    _arguments.choice(function, "algorithm", algorithm, ("auto", *choose.MAX_POOL_ALGORITHMS))
    outputs = choose.max_pool(function, flat, windows, largest, algorithm)
    return _arguments.restore_batch(outputs, batch)


def _divisors(windows: Windows, include_padding: bool, override: object) -> list[float | Array]:
    """The factors of what sums are divided by: a number, and for each axis on which windows differ
    an array along it; their product would be a constant as large as the outputs.
    """
    if override is not None:
        divisor = geometry.whole_number("avg_pool", "divisor_override", override)
        if divisor == 0:
            raise ValueError("avg_pool: `divisor_override` (=0) must not be 0")
        return [float(divisor)]
    same, factors = 1, []
    for axis in range(windows.rank):
        counts = slices.tap_counts(windows, axis, include_padding)
        if isinstance(counts, np.ndarray) and (counts == counts[0]).all():
            same *= max(int(counts[0]), 1)
        else:
            factors.append(slices.lay_along(counts.clip(1), windows, axis))
    return [float(same), *factors] if same != 1 or not factors else factors
