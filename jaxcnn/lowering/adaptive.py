"""Pooling over windows that share an axis out evenly, one axis after the other.

Along an axis of n pixels and m windows, g = gcd(n, m), the windows repeat after n/g pixels and m/g
windows, and none reaches from one period into the next. So the axis is split into g periods, and
only the m/g windows of one are written out, each a slice reduced for all periods at once: if m
divides n that is one reduction, also where n is not known yet. Sums and first maxima both separate
by axes, since the first in row-major order lies in the first row that has the maximum, and there in
the first column.
"""

import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Inexact, Int32, Num

from jaxcnn import geometry
from jaxcnn.geometry import Size
from jaxcnn.lowering.dtypes import extreme, widen
from jaxcnn.lowering.first_max import first_max, first_position, positions, take_position
from jaxcnn.lowering.take import take_in_order

Reduce = Callable[[tuple[Array, ...], int], tuple[Array, ...]]

# Above this many windows to a period, the program would grow long: a gather a tap is shorter.
_MOST_SLICES = 32


def average(
    inputs: Inexact[Array, "*batch_and_spatial channels"], output_shape: Sequence[Size]
) -> Inexact[Array, "*batch_and_out channels"]:
    """Averages each window: sums along one axis after the other, and one division at the end."""
    rank = len(output_shape)
    sizes = inputs.shape[-rank - 1 : -1]
    sums = _reduce_all((widen(inputs),), output_shape, _sum, (0,))[0]
    counts, of_unknown = np.ones((), int), 1
    for n, m in zip(sizes, output_shape, strict=True):
        if geometry.are_known(n):
            along = [end - start for start, end in geometry.adaptive_windows(n, m)]
        else:  # which m divides
            along, of_unknown = [1], of_unknown * (n // m)
        counts = np.multiply.outer(counts, along)
    divisor = counts.flat[0] if (counts == counts.flat[0]).all() else counts[..., None]
    shape = (1,) * (inputs.ndim - np.ndim(divisor)) + np.shape(divisor)
    # cast on the device: outside `jit` a constant would be sent there again for the gradient
    divisor = jnp.asarray(np.reshape(divisor, shape)).astype(sums.dtype)
    if not geometry.are_known(of_unknown):
        divisor *= jnp.asarray(of_unknown, sums.dtype)
    return (sums / divisor).astype(inputs.dtype)


def maximum(
    inputs: Num[Array, "*batch_and_spatial channels"], output_shape: Sequence[Size]
) -> Num[Array, "*batch_and_out channels"]:
    """The maximum of each window."""
    # 16-bit floats are widened, which changes no value, for the transpose adds up where windows
    # overlap.
    fills = (extreme(widen(inputs).dtype, lowest=True),)
    return _reduce_all((widen(inputs),), output_shape, _max, fills)[0].astype(inputs.dtype)


def maximum_with_indices(
    inputs: Num[Array, "*batch_and_spatial channels"], output_shape: tuple[Size, ...]
) -> tuple[Num[Array, "*batch_and_out channels"], Int32[Array, "*batch_and_out channels"]]:
    """The maximum of each window and its row-major position in the spatial plane."""
    sizes = inputs.shape[-len(output_shape) - 1 : -1]
    wide = widen(inputs)
    places = positions((*sizes, 1), tuple(range(len(sizes))))
    places = jnp.expand_dims(places, range(inputs.ndim - len(sizes) - 1))
    outputs, indices = _reduce_all(
        (wide, places), output_shape, _max_and_position, (extreme(wide.dtype, lowest=True), 0)
    )
    return outputs.astype(inputs.dtype), jnp.broadcast_to(indices, outputs.shape)


def _sum(arrays: tuple[Array, ...], axis: int) -> tuple[Array, ...]:
    return (jnp.sum(arrays[0], axis=axis, dtype=arrays[0].dtype),)


def _max(arrays: tuple[Array, ...], axis: int) -> tuple[Array, ...]:
    return (first_max(arrays[0], (axis,)),)


def _max_and_position(arrays: tuple[Array, ...], axis: int) -> tuple[Array, ...]:
    values, places = arrays
    chosen = first_position(values, (axis,))
    return first_max(values, (axis,)), take_position(places, chosen, (axis,))


def _reduce_all(
    arrays: tuple[Array, ...],
    output_shape: Sequence[Size],
    reduce: Reduce,
    fills: tuple[ArrayLike, ...],
) -> tuple[Array, ...]:
    """Reduces the windows along every spatial axis, the last one first."""
    first = arrays[0].ndim - len(output_shape) - 1
    for i, count in reversed(list(enumerate(output_shape))):
        if count != arrays[0].shape[first + i]:
            arrays = _reduce_axis(arrays, first + i, count, reduce, fills)
    return arrays


def _reduce_axis(
    arrays: tuple[Array, ...],
    axis: int,
    count: Size,
    reduce: Reduce,
    fills: tuple[ArrayLike, ...],
) -> tuple[Array, ...]:
    """Reduces `count` windows along one axis."""
    size = arrays[0].shape[axis]
    periods = math.gcd(size, count) if geometry.are_known(size) else count
    windows = geometry.adaptive_windows(size // periods, count // periods)
    arrays = tuple(
        a.reshape((*a.shape[:axis], periods, size // periods, *a.shape[axis + 1 :])) for a in arrays
    )
    if len(windows) <= _MOST_SLICES:
        parts = [
            reduce(tuple(lax.slice_in_dim(a, *window, axis=axis + 1) for a in arrays), axis + 1)
            for window in windows
        ]
        arrays = tuple(jnp.stack(along, axis + 1) for along in zip(*parts, strict=True))
    else:
        arrays = reduce(
            tuple(_taps(a, axis + 1, windows, fill) for a, fill in zip(arrays, fills, strict=True)),
            axis + 2,
        )
    return tuple(a.reshape((*a.shape[:axis], count, *a.shape[axis + 2 :])) for a in arrays)


def _taps(values: Array, axis: int, windows: Sequence[tuple[int, int]], fill: ArrayLike) -> Array:
    """Lays all windows side by side, (..., windows, taps, ...), those that are shorter filled up.

    The fill comes last in its window, where it loses every tie.
    """
    starts = [start for start, _ in windows]
    sizes = np.array([end - start for start, end in windows])
    longest = int(sizes.max())
    config = [(0, longest - 1 if i == axis else 0, 0) for i in range(values.ndim)]
    padded = lax.pad(values, jnp.zeros((), values.dtype), config)
    along = (-1, *(1,) * (values.ndim - axis - 1))
    taps = []
    for tap in range(longest):
        pixels = take_in_order(padded, [start + tap for start in starts], axis)
        inside = jnp.asarray((sizes > tap).reshape(along))
        taps.append(jnp.where(inside, pixels, jnp.asarray(fill, values.dtype)))
    return jnp.stack(taps, axis + 1)
