"""Pools told how many windows to make, not how large ones."""

from typing import Any

from jaxtyping import Array, Inexact, Int32, Num

from jaxcnn import geometry
from jaxcnn._checks import arrays, dtypes
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.lowering import adaptive, choose
from jaxcnn.lowering.problem import Typed

OutputShape = tuple[int | None, ...]


@planned("inputs")
def adaptive_avg_pool(
    inputs: Num[Array, "*batch_and_spatial channels"], output_shape: OutputShape
) -> Inexact[Array, "*batch_and_out channels"]:
    """Averages windows that share the input out evenly among a given number of outputs.

        out[n, i, j, c] = mean of x[n, a, b, c] over start_i <= a < end_i, start_j <= b < end_j
        start_i = floor(i n / m),  end_i = ceil((i + 1) n / m)

    for n pixels and m outputs along the axis. Neighbouring windows share a pixel where m does not
    divide n; a pixel spreads its gradient over the windows that hold it, 1 / size to each. A target
    larger than the input is allowed. NaN stays in the windows that hold it. A sum beyond the
    largest number of its dtype gives inf, as in `avg_pool`.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      output_shape: number of windows, a tuple with one entry per spatial axis; None keeps the axis
        as it is.
    Returns:
      `(*batch, *output_shape, channels)` in the inputs' dtype; 16-bit floats are summed in float32,
      integers averaged as floats.
    Raises:
      ValueError: an entry below 1, too few axes, or an empty spatial or channel axis.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> F.adaptive_avg_pool(jnp.arange(7.0)[:, None], (3,)).ravel()  # 0 1 2 | 2 3 4 | 4 5 6
      Array([1., 3., 5.], dtype=float32)
      >>> F.adaptive_avg_pool(jnp.ones((8, 13, 17, 3)), (6, None)).shape
      (8, 6, 17, 3)
    """
    batch, shape = _targets(inputs, output_shape)
    return to_run(
        _average, batch=batch, shape=shape, dtype=dtypes.averageable(inputs), by_rows=False
    )


@planned("inputs")
def adaptive_max_pool(
    inputs: Num[Array, "*batch_and_spatial channels"], output_shape: OutputShape
) -> Num[Array, "*batch_and_out channels"]:
    """Takes the maximum of windows that share the input out evenly among a number of outputs.

        out[n, i, j, c] = max of x[n, a, b, c] over start_i <= a < end_i, start_j <= b < end_j
        start_i = floor(i n / m),  end_i = ceil((i + 1) n / m)

    for n pixels and m outputs along the axis; a target larger than the input is allowed. The first
    of equal elements, in row-major order of the window, takes the whole gradient. A window with a
    NaN gives NaN, and the gradient goes to its first NaN.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      output_shape: number of windows, a tuple with one entry per spatial axis; None keeps the axis
        as it is.
    Returns:
      `(*batch, *output_shape, channels)` in the inputs' dtype.
    Raises:
      ValueError: an entry below 1, too few axes, or an empty spatial or channel axis.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> F.adaptive_max_pool(jnp.array([[0], [1]]), (5,)).ravel()  # 0 | 0 | 0 1 | 1 | 1
      Array([0, 0, 1, 1, 1], dtype=int32)
    """
    batch, shape = _targets(inputs, output_shape)
    dtypes.comparable(inputs)
    return to_run(choose.adaptive_max_pool, batch=batch, output_shape=shape, by_rows=False)


@planned("inputs")
def adaptive_max_pool_with_indices(
    inputs: Num[Array, "*batch_and_spatial channels"], output_shape: OutputShape
) -> tuple[Num[Array, "*batch_and_out channels"], Int32[Array, "*batch_and_out channels"]]:
    """Does as `adaptive_max_pool`, and says where in the spatial plane each maximum lies.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      output_shape: number of windows, a tuple with one entry per spatial axis; None keeps the axis
        as it is.
    Returns:
      outputs: `(*batch, *output_shape, channels)` in the inputs' dtype.
      indices: the same shape, int32: the row-major position of the element that takes the gradient,
        as `max_unpool` reads it.
    Raises:
      ValueError: an entry below 1, too few axes, an empty spatial or channel axis, or positions
        that do not fit int32.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> plane = jnp.array([[1.0, 5.0, 5.0], [7.0, 2.0, 3.0]])[..., None]
      >>> outputs, indices = F.adaptive_max_pool_with_indices(plane, (1, 2))
      >>> outputs.ravel(), indices.ravel()
      (Array([7., 5.], dtype=float32), Array([3, 1], dtype=int32))
    """
    batch, shape = _targets(inputs, output_shape)
    dtypes.comparable(inputs)
    arrays.countable_pixels(inputs.shape[-len(shape) - 1 : -1])
    return to_run(adaptive.maximum_with_indices, batch=batch, output_shape=shape, by_rows=False)


def _average(inputs: Array, *, shape: tuple[int, ...], dtype: Any) -> Array:
    return choose.adaptive_avg_pool(inputs.astype(dtype), shape)


def _targets(inputs: Typed, output_shape: object) -> tuple[int, tuple[int, ...]]:
    """How many batch axes there are, and the output shape with every None replaced."""
    counts = geometry.axes_tuple(
        "output_shape", output_shape, allow_none=True, entry=geometry.whole_size
    )
    rank = len(counts)
    batch, sizes, _ = arrays.spatial_batch(
        inputs, rank, because=f"`output_shape` (={output_shape}) has {rank} entries"
    )
    arrays.filled_axes(inputs, sizes)
    shape = tuple(
        n if geometry.are_known(count) and count < 0 else count
        for n, count in zip(sizes, counts, strict=True)
    )
    arrays.even_or_known(inputs, sizes, shape)
    return len(batch), shape
