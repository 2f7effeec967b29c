"""Max pooling that keeps where each maximum came from, and putting the maxima back there."""

import functools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, Integer, Num

from jaxcnn import geometry
from jaxcnn.functional import _arguments, _dtypes, _meshes
from jaxcnn.functional._program import program
from jaxcnn.functional._windows import windowed
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering import choose
from jaxcnn.lowering import unpool as lowering
from jaxcnn.lowering.first_max import positions


@program("inputs", image=lambda window_shape, **_: len(window_shape) + 1)
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
    function = "max_pool_with_indices"
    inputs = _dtypes.comparable(function, _arguments.array(function, "inputs", inputs))
    if padding_mode == "zeros":
        raise ValueError(
            f"{function}: `padding_mode` (='zeros') must show pixels of the inputs, for a zero in "
            "the padding has no index; use 'identity'"
        )
    laid = functools.partial(
        windowed,
        function,
        window_shape=window_shape,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
    )
    flat, windows, batch = laid(inputs)
    geometry.refuse_window_in_padding(function, windows)
    sizes = inputs.shape[len(batch) : -1]
    _arguments.countable_pixels(function, sizes)
    plane = positions((*sizes, 1), tuple(range(len(sizes))))
    plane, _, _ = laid(plane)
    outputs, indices = choose.max_pool_with_indices(flat, plane, windows)
    return _arguments.restore_batch(outputs, batch), _arguments.restore_batch(indices, batch)


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
    known = indices if isinstance(indices, np.ndarray) else None
    inputs = _arguments.array("max_unpool", "inputs", inputs)
    indices = _arguments.array("max_unpool", "indices", indices)
    if inputs.dtype == jnp.bool_:
        raise TypeError("max_unpool: `inputs` must hold numbers, got bool; cast them with astype")
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise TypeError(f"max_unpool: `indices` must hold integers, got {indices.dtype}")
    if inputs.shape != indices.shape:
        raise ValueError(
            "max_unpool: `indices` must have the shape of `inputs`; received inputs "
            f"{inputs.shape}, indices {indices.shape}"
        )
    window_shape = geometry.axes_tuple("max_unpool", "window_shape", window_shape)
    rank = len(window_shape)
    batch, sizes, channels = _arguments.spatial_batch(
        "max_unpool", inputs, rank, because=f"`window_shape` {window_shape} has {rank} entries"
    )
    _arguments.filled_axes("max_unpool", inputs, sizes)
    spatial = geometry.unpooled_sizes(
        "max_unpool",
        sizes,
        window_shape,
        strides=1 if strides is None else strides,
        padding=padding,
        dilation=window_dilation,
        output_shape=output_shape,
    )
    if not all(geometry.surely_below(0, n) for n in (*sizes, *spatial)):
        because = "or surely not 0, as a constraint such as 'h >= 2' says"
        _arguments.known_sizes("max_unpool", inputs, (*sizes, *spatial), because)
    _arguments.countable_pixels("max_unpool", spatial)
    size = math.prod(spatial)
    if known is not None and known.size:
        lowest, highest = int(known.min()), int(known.max())
        if lowest < 0 or highest >= size:
            raise ValueError(
                f"max_unpool: `indices` must lie in 0 to {size - 1} for an output of spatial "
                f"sizes {spatial}; received indices from {lowest} to {highest}"
            )

    def placed(inputs: Array, indices: Array) -> Array:
        batch = inputs.shape[: -rank - 1]
        flat = (math.prod(batch), math.prod(sizes), channels)
        outputs = lowering.place(inputs.reshape(flat), indices.reshape(flat), size)
        return outputs.reshape((*batch, *spatial, channels))

    operands = {"inputs": inputs, "indices": indices}
    return _meshes.on_devices(placed, operands, lambda: (len(batch), ["inputs", "indices"]))
