"""The windows along one axis reduced by an associative operation: a chain of taps, or doubling.

A chain combines the taps of all windows one after the other: k - 1 steps, each over the windows
alone. Doubling makes blocks of 1, 2, 4, 8, ... taps, each of two of the last. With B_m[u] the taps
u, u + d, ..., u + (m - 1)*d combined,

    B_(a + b)[u] = B_a[u] combined with B_b[u + a*d],

so that k taps take about log2(k) steps, and up to twice as many where k is no power of two, each
over the whole axis. Both keep the order of the taps: the operation need not be commutative. Each
step is two slices and the operation, and is differentiated as such.
"""

import functools
from collections.abc import Callable
from typing import TypeVar

from jax import lax
from jaxtyping import Array

from jaxcnn.geometry import Size, Windows
from jaxcnn.lowering import slices

# From here on a chain is longer to compile than to read, and doubling does less work too.
LONG = 17

Blocks = TypeVar("Blocks")


def is_long(windows: Windows, axis: int) -> bool:
    """Whether windows have too many taps along `axis` for a chain."""
    return windows.window_shape[axis] >= LONG


def reduce_axis(
    values: Array,
    windows: Windows,
    axis: int,
    combine: Callable[[Array, Array], Array],
    slice_in_dim: Callable[..., Array] = lax.slice_in_dim,
) -> Array:
    """Combines the taps of each window along one spatial axis, padded already."""
    if not is_long(windows, axis):
        taps = range(windows.window_shape[axis])
        return functools.reduce(
            combine, (slices.axis_slice(values, windows, axis, tap, slice_in_dim) for tap in taps)
        )

    def cut(array: Array, start: int, stop: Size, step: int) -> Array:
        return slice_in_dim(array, start, stop, step, axis + 1)

    return by_doubling(values, windows, axis, combine, cut)


def by_doubling(
    pixels: Blocks,
    windows: Windows,
    axis: int,
    combine: Callable[[Blocks, Blocks], Blocks],
    cut: Callable[[Blocks, int, Size, int], Blocks],
) -> Blocks:
    """Combines the taps of each window along one axis, of anything that can be cut along it.

    Args:
      pixels: what stands at the padded pixels.
      windows: where the windows lie.
      axis: the spatial axis.
      combine: the operation, on two runs of blocks.
      cut: returns, from a run of blocks, those from start to stop - 1 in the given steps.
    """
    size, d, s = windows.window_shape[axis], windows.dilation[axis], windows.strides[axis]
    span = (windows.output_shape[axis] - 1) * s + 1  # places at which a window may start
    done, taken = None, 0
    block, width = pixels, 1
    while taken < size:
        if size & width:
            # `done` holds the first taps of every window, and the next `width` follow.
            follow = cut(block, taken * d, taken * d + span, 1)
            done = follow if done is None else combine(done, follow)
            taken += width
        rest = span + (size - 2 * width) * d
        if taken < size:
            block = combine(cut(block, 0, rest, 1), cut(block, width * d, width * d + rest, 1))
        width *= 2
    return cut(pixels if done is None else done, 0, span, s)
