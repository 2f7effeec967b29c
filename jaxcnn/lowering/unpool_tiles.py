"""Values put back where no two windows share a pixel: each is copied all over its own.

With windows that lie s pixels apart and are no larger, pixel u belongs to window (u + p_lo) // s or
to none. So every value is copied s times along each axis, and its index too; one comparison says
which pixel is meant, and the transpose of the copies is a sum with one term that is not zero.

Predicted: copies are cheap on a TPU, where a strided slice is dear, and so are windowed sums over
values spread out. Compiled for a TPU v5e, bfloat16, 32 images of 16x16x64 to 32x32, forward and
backward, thousand cycles of the schedule: 122; by windowed sums 782, by `unpool_shift` without the
question whether it may 238.

Indices elsewhere than in their own windows are put back by `unpool_scatter`, all of them.
"""

import operator

import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Integer, Num

from jaxcnn.geometry import Windows
from jaxcnn.lowering import unpool_scatter
from jaxcnn.lowering.first_max import positions
from jaxcnn.lowering.unpool_shift import where_near


def place(
    values: Num[Array, "n *out channels"],
    indices: Integer[Array, "n *out channels"],
    windows: Windows,
) -> Num[Array, "n *spatial channels"]:
    """As `unpool_scatter.place`; for windows that `takes` agrees to."""
    return where_near(values, indices, windows, _tiled, unpool_scatter.place)


def takes(windows: Windows) -> bool:
    """Whether no two windows share a pixel, or reach beyond the start of the next."""
    return all(map(operator.le, windows.effective_shape, windows.strides))


def _tiled(
    values: Num[Array, "n *out channels"],
    indices: Integer[Array, "n *out channels"],
    windows: Windows,
) -> Num[Array, "n *spatial channels"]:
    here = positions((1, *windows.sizes, 1), tuple(range(1, windows.rank + 1)))
    named = _repeated(indices.astype(jnp.int32), windows, -1) == here
    return jnp.where(named, _repeated(values, windows, 0), jnp.zeros((), values.dtype))


def _repeated(array: Array, windows: Windows, fill: ArrayLike) -> Array:
    """What the window before or over each pixel holds; `fill` where there is none."""
    n, *counts, channels = array.shape
    apart, copied, pads = [n], [n], [(0, 0, 0)]
    for axis, (count, s) in enumerate(zip(counts, windows.strides, strict=True)):
        apart += [count, 1]
        copied += [count, s]
        low = windows.padding[axis][0]
        pads.append((-low, windows.sizes[axis] + low - count * s, 0))
    wide = jnp.broadcast_to(array.reshape((*apart, channels)), (*copied, channels))
    wide = wide.reshape(
        (n, *(c * s for c, s in zip(counts, windows.strides, strict=True)), channels)
    )
    return lax.pad(wide, jnp.asarray(fill, array.dtype), [*pads, (0, 0, 0)])
