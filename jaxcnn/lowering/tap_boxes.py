"""The taps of a window cut into equal boxes, for loops that take a box of terms at a time.

Each term of an expression is an operation to compile, of which 31x31 taps would be a thousand. A
scan over boxes compiles the terms of one. What an axis leaves over is a box of its own, for filling
the last one up with taps of zeros would bring the pixels in that they meet, and 0 * NaN is NaN.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Num

from jaxcnn.geometry import Windows

Start = tuple[Any, ...]  # ints, or scalar arrays inside of a scan


class Boxes(NamedTuple):
    """Equal boxes of taps, side by side.

    Attributes:
      first: the first tap of all, per axis.
      shape: taps of a box.
      counts: how many boxes there are along each axis.
    """

    first: tuple[int, ...]
    shape: tuple[int, ...]
    counts: tuple[int, ...]


def boxes(window_shape: tuple[int, ...], most: int) -> Iterator[Boxes]:
    """Cuts a window into boxes of at most `most` taps: full ones, and for each axis the rest."""
    along = []
    for size in reversed(window_shape):
        longest = min(size, most)
        length = next((m for m in range(longest, longest // 2, -1) if size % m == 0), longest)
        count, rest = divmod(size, length)
        along.insert(0, [(0, length, count), *([(count * length, rest, 1)] if rest else [])])
        most //= length
    for parts in itertools.product(*along):
        yield Boxes(*map(tuple, zip(*parts, strict=True)))


def over_boxes(
    add: Callable[[Array | None, Start, Array], Array],
    kernel: Num[Array, "*kernel_size group_features groups features"],
    windows: Windows,
    most: int,
) -> Num[Array, "..."]:
    """Adds something up over boxes of at most `most` taps, by a scan where several are alike.

    Args:
      add: `(total, start, weights)` to a new total. `start` is where the first tap of the box lies
        in a window, in pixels, ints outside of a scan; `weights` is its part of the kernel. Where
        there is no total yet, it is None.
      kernel: what is cut; its leading axes are the taps.
      windows: where the taps lie.
      most: taps of a box, 1 if it is less.
    """
    total: Any = None
    rank = windows.rank
    for kind in boxes(windows.window_shape, max(most, 1)):
        count = math.prod(kind.counts)
        ends = (a + size * c for a, size, c in zip(*kind, strict=True))
        region = kernel[tuple(map(slice, kind.first, ends))]
        split = [n for pair in zip(kind.counts, kind.shape, strict=True) for n in pair]
        weights = region.reshape((*split, *kernel.shape[rank:]))
        weights = jnp.moveaxis(weights, range(0, 2 * rank, 2), range(rank))
        weights = weights.reshape((count, *kind.shape, *kernel.shape[rank:]))
        first = tuple(a * d for a, d in zip(kind.first, windows.dilation, strict=True))
        if count == 1:
            total = add(total, first, weights[0])
            continue
        if total is None:
            total = jnp.zeros_like(add(None, first, weights[0]))  # of which only the type is read
        places = np.indices(kind.counts).reshape((rank, count))
        steps = zip(first, kind.shape, windows.dilation, places, strict=True)
        starts = tuple((a + size * d * place).astype(np.int32) for a, size, d, place in steps)
        total, _ = lax.scan(lambda t, xs: (add(t, *xs), None), total, (starts, weights))
    return total
