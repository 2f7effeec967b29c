"""Max pooling that keeps where each maximum came from, and putting the maxima back there."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Int32, Integer, Num

from jaxcnn import geometry
from jaxcnn._checks import arrays, dtypes, pools
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.lowering import choose, fill
from jaxcnn.lowering import unpool as lowering
from jaxcnn.lowering.first_max import positions


@planned("inputs")
def max_pool_with_indices(
    inputs: Num[Array, "*batch_and_spatial channels"],
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
) -> tuple[
    Num[Array, "*batch_and_out channels"],
    Int32[Array, "*batch_and_out channels"],
]:
    """Takes the largest element of each window, per channel, and says where it lies.

        out[n, i, j, c] = x[n, u, v, c],    indices[n, i, j, c] = u * width + v

    with (u, v) the place that `max_pool`'s gradient goes to: the first maximum in row-major window
    order, or the first NaN. Channels and batch are no part of an index, and neither is padding:
    where padding shows a pixel of the inputs, the index is that pixel's.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      window_shape: as in `max_pool`.
      strides: as in `max_pool`.
      padding: as in `max_pool`.
      padding_mode: "identity", "reflect", "replicate" or "circular"; a zero would have no place.
      window_dilation: as in `max_pool`.
      ceil_mode: as in `max_pool`.
    Returns:
      The maxima as from `max_pool`, and int32 of the same shape: the row-major position in the
      unpadded spatial axes.
    Raises:
      ValueError: as `max_pool`, `padding_mode` is "zeros", or a position does not fit int32.
      TypeError: as `max_pool`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> x = jnp.array([[1, 5, 2, 0], [3, 4, 7, 6]])[..., None]
      >>> outputs, indices = F.max_pool_with_indices(x, (2, 2), (2, 2))
      >>> outputs.ravel(), indices.ravel()
      (Array([5, 7], dtype=int32), Array([1, 6], dtype=int32))
    """
    dtypes.comparable(inputs)
    if padding_mode == "zeros":
        raise ValueError(
            "`padding_mode` (='zeros') must show pixels of the inputs, for a zero in "
            "the padding has no index; use 'identity'"
        )
    batch, windows, fill_mode = pools.windows(
        inputs,
        window_shape,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
    )
    if fill_mode is None:
        geometry.refuse_window_in_padding(windows)
    arrays.countable_pixels(windows.sizes)
    return to_run(_with_indices, batch=batch, windows=windows, fill_mode=fill_mode)


@planned("inputs", "indices", looks_at=("indices",))
def max_unpool(
    inputs: Num[Array, "*batch_and_out channels"],
    indices: Integer[Array, "*batch_and_out channels"],
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    window_dilation: IntPerAxis = 1,
    output_shape: tuple[int, ...] | None = None,
) -> Num[Array, "*batch_and_spatial channels"]:
    """Puts each maximum back where `max_pool_with_indices` found it, zeros elsewhere.

        out[n, u, v, c] = x[n, i, j, c]    where indices[n, i, j, c] = u * width + v

    Where windows overlap, several may name one place: the last in row-major order is put there, and
    the gradient goes to that one alone. What an index outside the output belongs to is dropped. In
    an array of NumPy it is an error; those on a device are not looked at, for that would wait.

    Args:
      inputs: `(*batch, *out, channels)`, the maxima or anything of their shape.
      indices: integers of the same shape, row-major positions in the spatial axes of the result.
      window_shape: of the pool that is undone.
      strides: of the pool; None means 1.
      padding: of the pool.
      window_dilation: of the pool.
      output_shape: spatial sizes of the result, one that the pool takes to those of `inputs` with
        or without `ceil_mode`; None for the smallest, n*s for "SAME".
    Returns:
      `(*batch, *spatial, channels)`, by default of size (n - 1)*s + d*(k - 1) + 1 - p_lo - p_hi.
    Raises:
      ValueError: shapes or options disagree, an index of NumPy is out of range, or the positions
        of the result do not fit int32.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> x = jnp.array([[1, 5, 2, 0], [3, 4, 7, 6]])[..., None]
      >>> F.max_unpool(*F.max_pool_with_indices(x, (2, 2), 2), (2, 2), 2)[..., 0]
      Array([[0, 5, 0, 0],
             [0, 0, 7, 0]], dtype=int32)

    References:
      M. Zeiler and R. Fergus, Visualizing and understanding convolutional networks, 2014.
    """
    dtypes.numeric("inputs", inputs)
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise TypeError(f"`indices` must hold integers, got {indices.dtype}")
    if inputs.shape != indices.shape:
        raise ValueError(
            "`indices` must have the shape of `inputs`; received inputs "
            f"{inputs.shape}, indices {indices.shape}"
        )
    window_shape = geometry.axes_tuple("window_shape", window_shape)
    rank = len(window_shape)
    batch, sizes, _ = arrays.spatial_batch(
        inputs, rank, because=f"`window_shape` {window_shape} has {rank} entries"
    )
    arrays.filled_axes(inputs, sizes)
    windows = geometry.unpooled_windows(
        sizes,
        window_shape,
        strides=1 if strides is None else strides,
        padding=padding,
        dilation=window_dilation,
        output_shape=output_shape,
    )
    spatial = windows.sizes
    if not all(geometry.surely_below(0, n) for n in (*sizes, *spatial)):
        because = "or surely not 0, as a constraint such as 'h >= 2' says"
        arrays.known_sizes(inputs, (*sizes, *spatial), because)
    arrays.countable_pixels(spatial)
    numbers = getattr(indices, "numbers", None)
    if numbers is not None and numbers.size:
        size, lowest, highest = math.prod(spatial), int(numbers.min()), int(numbers.max())
        if lowest < 0 or highest >= size:
            raise ValueError(
                f"`indices` must lie in 0 to {size - 1} for an output of spatial "
                f"sizes {spatial}; received indices from {lowest} to {highest}"
            )
    return to_run(
        _placed, batch=len(batch), images=("inputs", "indices"), by_rows=False, windows=windows
    )


def _with_indices(inputs: Array, *, windows: Windows, fill_mode: str | None) -> tuple[Array, Array]:
    """The maxima, and where they lie in the plane, which is padded as the inputs are."""
    plane = positions((*windows.sizes, 1), tuple(range(windows.rank)))[None]
    plane, _ = fill.lay(plane, windows, fill_mode)
    laid, windows = fill.lay(inputs, windows, fill_mode)
    return choose.max_pool_with_indices(laid, plane, windows)


def _placed(inputs: Array, indices: Array, *, windows: Windows) -> Array:
    return lowering.unpool(inputs, indices, windows)
