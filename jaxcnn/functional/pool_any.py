"""Pooling with any reducer."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Shaped

from jaxcnn._checks import arrays, pools
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.lowering import reduce_shift
from jaxcnn.lowering.dtypes import extreme


def initial(argument: str, init: object, operands: Mapping[str, Array]) -> Array:
    """What a window begins with, as an array of the inputs' dtype."""
    dtype = operands["inputs"].dtype
    label = f"`{argument}` (={init!r})"
    ordered = dtype != jnp.bool_ and not jnp.issubdtype(dtype, jnp.complexfloating)
    if isinstance(init, (bool, int, float, complex)):
        if ordered and init in (math.inf, -math.inf):
            return jax.device_put(extreme(dtype, lowest=init == -math.inf))
        if not _fits(init, dtype):
            raise ValueError(f"{label} must fit the inputs' dtype {dtype}")
        return jax.device_put(np.array(init, dtype))
    start = arrays.array(argument, init)
    if start.ndim:
        raise ValueError(f"`init` must be a scalar; received init {start.shape}")
    if start.weak_type and jnp.result_type(start, dtype) == dtype:
        return _cast(start, dtype)  # a Python number, traced
    if start.dtype != dtype:
        raise TypeError(
            f"`init` must have the inputs' dtype {dtype}, got {start.dtype}; cast it with astype"
        )
    return start


def _cast(start: Array, dtype: jnp.dtype) -> Array:
    """A Python number, traced, in `dtype`, as `_initial` does it with one that is not."""
    cast = start.astype(dtype)
    if not jnp.issubdtype(dtype, jnp.floating):
        return cast
    for lowest in (True, False):
        infinite = start == (-math.inf if lowest else math.inf)
        cast = jnp.where(infinite, extreme(dtype, lowest=lowest), cast)
    return cast


def _fits(number: complex, dtype: jnp.dtype) -> bool:
    """Whether a Python number can be cast to `dtype` without becoming another."""
    if isinstance(number, complex):
        return bool(jnp.issubdtype(dtype, jnp.complexfloating))
    if dtype == jnp.bool_:
        return number in (0, 1)
    if not jnp.issubdtype(dtype, jnp.integer):
        largest = float(jnp.finfo(dtype).max)
        return number in (math.inf, -math.inf) or not abs(number) > largest
    limits = jnp.iinfo(dtype)
    return limits.min <= number <= limits.max and number == int(number)


@planned("inputs", "init", convert={"init": initial}, compiled=False)
def pool(
    inputs: Shaped[Array, "*batch_and_spatial channels"],
    init: ArrayLike,
    reduce_fn: Callable[[Array, Array], Array],
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    window_dilation: IntPerAxis = 1,
) -> Shaped[Array, "*batch_and_out channels"]:
    """Reduces each window by `reduce_fn`, in row-major order, differentiably.

        out[n, i, j, c] = r(init, r(x[n, i*s, j*s, c], r(x[n, i*s, j*s + d, c], ...)))

    with x the inputs padded with `init`. How the calls of r are nested is left open: it must be
    associative. It need not be commutative. Arguments and values are those of `flax.nnx.pool`,
    whose gradient exists for sums and extremes alone; here it is that of `reduce_fn`.

    For sums, extremes and log-sum-exps the pools of their own are faster.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      init: a number or a scalar array, traced or not: the neutral element of `reduce_fn`. It stands
        in the padding and once before each window.
      reduce_fn: takes two arrays of the same shape in the inputs' dtype, and combines them element
        by element into one like them.
      window_shape: taps of a window, a tuple with one int per spatial axis.
      strides: pixels between windows, per spatial axis; None means 1.
      padding: as in `max_pool`.
      window_dilation: pixels between neighbouring taps, per spatial axis.
    Returns:
      `(*batch, *out, channels)`, sizes as in `max_pool`, in the inputs' dtype.
    Raises:
      ValueError: shapes or options disagree, or `init` is no scalar or does not fit the dtype.
      TypeError: an argument is of the wrong type, or `reduce_fn` returns another dtype or shape.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> x = jnp.array([[2.0], [3.0], [5.0]])
      >>> F.pool(x, 1.0, jnp.multiply, (2,)).ravel()
      Array([ 6., 15.], dtype=float32)
      >>> jax.grad(lambda x: F.pool(x, 1.0, jnp.multiply, (2,)).sum())(x).ravel()
      Array([3., 7., 3.], dtype=float32)
    """
    if not callable(reduce_fn):
        raise TypeError(
            f"`reduce_fn` (={reduce_fn!r}) must be a function of two arrays, "
            f"got {type(reduce_fn).__name__}"
        )
    batch, windows, _ = pools.windows(
        inputs, window_shape, strides=strides, padding=padding, window_dilation=window_dilation
    )
    return to_run(_reduced, batch=batch, windows=windows, reduce_fn=reduce_fn)


def _reduced(
    inputs: Array, init: Array, *, windows: Windows, reduce_fn: Callable[..., Any]
) -> Array:
    return reduce_shift.pool(inputs, init, _checked(reduce_fn), windows)


def _checked(reduce_fn: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    """`reduce_fn`, with a clear error where it does not map two arrays to one like them."""

    def reduce(left: Array, right: Array) -> Array:
        try:
            result = reduce_fn(left, right)
        except jax.errors.TracerArrayConversionError:
            raise TypeError("pool: `reduce_fn` must be written with jax.numpy, not NumPy") from None
        array = isinstance(result, jax.Array)
        if not array or (result.shape, result.dtype) != (left.shape, left.dtype):
            received = f"{result.dtype}{result.shape}" if array else type(result).__name__
            raise TypeError(
                "pool: `reduce_fn` must return one JAX array like its two arguments, "
                f"{left.dtype}{left.shape}, got {received}"
            )
        return result

    return reduce
