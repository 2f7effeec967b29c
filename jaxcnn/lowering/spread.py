"""The pixels around positions that data tell, as a map whose transpose sums in a fixed order.

    out[p, corner] = pixels[corner of cells[p]]

The transpose of such a gather adds up, for each pixel, what all positions in the cells around it
have at their corners, and a scatter adds it in whatever order a GPU comes by. Here the positions
are sorted by their cells first. Then those of a cell are neighbours, from start to end - 1, and
their sum is that of

    single rows before the first whole block, whole blocks of b rows, single rows after the last,

the blocks' sums likewise by blocks of b blocks, and so on: at each level 2*(b - 1) slots, masked.
No block holds rows of another cell, so that a NaN reaches none, and no sum depends on the order in
which a device works.

Stated is the linear map of which that is the transpose: each level is the pixels put at their
slots, and what the level above holds, repeated b times. No two are put in one place, but in the one
after the last, where slots without a row end up and which is dropped.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Inexact, Int32

Sizes = tuple[int, ...]
Ends = tuple[Array, Array, Array, Array]

FEW_COMPARISONS = 2**26  # of a plane; where there would be more, by bisection


def spread(
    pixels: Inexact[Array, "n groups pixels channels"],
    cells: Int32[Array, "n groups places"],
    sizes: Sizes,
) -> Inexact[Array, "n groups places corners channels"]:
    """What lies at the corners of each cell; zeros outside of the image.

    Args:
      pixels: a plane for each image and group.
      cells: row-major among those between neighbouring pixels and around the first and the last,
        size + 1 along each axis; the first beyond the last for a position that sees no pixel.
      sizes: of the plane.
    """
    places = cells.shape[-1]
    order = lax.broadcasted_iota(jnp.int32, cells.shape, 2)
    ordered, order = lax.sort((cells, order), dimension=2, num_keys=1, is_stable=True)
    around = _cells_around(sizes)
    start, end = _positions(ordered, around), _positions(ordered, around + 1)
    block = max(8, round(places ** (1 / 3)))
    lengths = [places]
    while lengths[-1] > 2 * block:
        lengths.append(-(-lengths[-1] // block))
    if len(lengths) == 1:
        return _put(_placed(pixels, *_run(start, end, np.arange(places)), places), order, places)
    single, start, end = _ends(start, end, block)
    singles = _placed(pixels, *_slots(*single, np.arange(2 * (block - 1)), block), places)
    above = np.cumsum([0, *lengths[1:]]).tolist()
    blocks = _placed(pixels, *_slots_above(start, end, lengths[1:], block), above[-1])
    levels = [
        lax.slice_in_dim(blocks, base, base + length, axis=2)
        for base, length in zip(above[:-1], lengths[1:], strict=True)
    ]
    total = levels.pop()
    for level in reversed(levels):
        total = level + _repeated(total, block, level.shape[2])
    singles += _repeated(total, block, places)
    return _put(singles, order, places)


def _placed(pixels: Array, at: Array, there: Array, length: int) -> Array:
    """The pixels at their slots, of which those that hold none are left out."""
    corners = at.shape[3]
    wide = jnp.broadcast_to(pixels[:, :, :, None, None], (*at.shape, pixels.shape[-1]))
    within = jnp.where(there, at, length) * corners
    within += _along_last(np.arange(corners)[:, None], 5)
    level = _put(wide, within, (length + 1) * corners)
    level = lax.slice_in_dim(level, 0, length * corners, axis=2)
    return level.reshape((*at.shape[:2], length, corners, pixels.shape[-1]))


def _repeated(blocks: Array, block: int, length: int) -> Array:
    """What each block holds, once for each of its rows."""
    n, groups, count, corners, channels = blocks.shape
    wide = jnp.broadcast_to(blocks[:, :, :, None], (n, groups, count, block, corners, channels))
    wide = wide.reshape((n, groups, count * block, corners, channels))
    return lax.slice_in_dim(wide, 0, length, axis=2)


def _positions(ordered: Array, around: np.ndarray) -> Int32[Array, "n groups pixels corners"]:
    """How many positions are in cells before those given: compared with all, or by bisection."""
    if around.size * ordered.shape[-1] <= FEW_COMPARISONS:
        before = ordered[:, :, None, None] < around[None, None, ..., None]
        return jnp.sum(before, -1, dtype=jnp.int32)
    bisect = functools.partial(jnp.searchsorted, method="scan_unrolled")
    bisect = jax.vmap(jax.vmap(bisect, (0, None)), (0, None))
    return bisect(ordered, jnp.asarray(around)).astype(jnp.int32)


def _cells_around(sizes: Sizes) -> Int32[np.ndarray, "pixels corners"]:
    """For each pixel the cell whose first corner it is, that whose second, and so on."""
    rank = len(sizes)
    cell = np.zeros((*sizes, *(2,) * rank), np.int32)
    for axis, size in enumerate(sizes):
        along = np.arange(size)[:, None] + 1 - np.arange(2)
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = along.shape
        cell = cell * (size + 1) + along.reshape(shape).astype(np.int32)
    return cell.reshape((math.prod(sizes), 2**rank))


def _ends(start: Array, end: Array, block: int) -> tuple[Ends, Array, Array]:
    """Where rows before and after the whole blocks begin and end, and where the blocks do."""
    first, after = (start + (block - 1)) // block, end // block
    apart = first <= after  # otherwise all lie within a block
    before, behind = jnp.where(apart, first * block, end), jnp.where(apart, after * block, end)
    zero = jnp.zeros_like(start)
    blocks = jnp.where(apart, first, zero), jnp.where(apart, after, zero)
    return (start, before, behind, end), *blocks


def _slots(
    start: Array, before: Array, behind: Array, end: Array, slot: np.ndarray, block: int
) -> tuple[Array, Array]:
    """The row in each slot, and whether there is one."""
    first = _along_last(slot < block - 1, start.ndim + 1) > 0
    lead, trail = _run(start, before, slot), _run(behind, end, slot - (block - 1))
    return jnp.where(first, lead[0], trail[0]), jnp.where(first, lead[1], trail[1])


def _run(start: Array, end: Array, slot: np.ndarray) -> tuple[Array, Array]:
    at = start[..., None] + _along_last(slot, start.ndim + 1)
    return at, at < end[..., None]


def _slots_above(start: Array, end: Array, lengths: list[int], block: int) -> tuple[Array, Array]:
    """Those of all levels of blocks, which lie one after the other."""
    several = 2 * (block - 1)
    slot = np.arange(several * (len(lengths) - 1) + lengths[-1])
    at, there = _run(jnp.zeros_like(start), jnp.zeros_like(end), slot)
    base = 0
    for level, length in enumerate(lengths):
        own = slot - several * level
        if level < len(lengths) - 1:
            single, start, end = _ends(start, end, block)
            here = _slots(*single, own, block)
        else:
            here = _run(start, end, own)
        mine = _along_last(own >= 0, start.ndim + 1) > 0
        at = jnp.where(mine, here[0] + base, at)
        there = jnp.where(mine, here[1], there)
        base += length
    return at, there


def _along_last(values: np.ndarray, rank: int) -> np.ndarray:
    """32-bit integers along the last axes of an array of that rank."""
    return values.astype(np.int32).reshape((1,) * (rank - values.ndim) + values.shape)


def _put(values: Array, at: Array, length: int) -> Array:
    """Values of each image and group at their places."""

    def put(values: Array, at: Array) -> Array:
        zeros = jnp.zeros((length, *values.shape[at.ndim :]), values.dtype)
        return zeros.at[at].add(values, mode="promise_in_bounds")

    return jax.vmap(jax.vmap(put))(values, at)
