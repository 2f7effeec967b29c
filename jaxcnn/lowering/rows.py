"""The rows of images that lie on many devices: which ones each needs, and how they come to it.

Device i of S holds the rows i*b to (i + 1)*b - 1, b = ceil(n / S), and computes the output rows i*c
to (i + 1)*c - 1, c = ceil(out / S). These see the input rows

    q >= (i*c*s - p) / r,        q <= ((i*c + c - 1)*s - p + e - 1) / r

under stride s, low padding p, input dilation r and windows that span e pixels. What is missing of
them comes from the devices before and after by `lax.ppermute`, the halo. The transpose of an
exchange is the exchange back, so that JAX differentiates it as it stands.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Shaped

from jaxcnn.geometry import Windows

Rows = Shaped[Array, "n _ ..."]


class RowPlan(NamedTuple):
    """What each device does along the rows.

    Attributes:
      axis: of the mesh, along which the devices lie.
      devices: how many there are.
      rows: of the images.
      held: input rows on each device.
      made: output rows on each device.
      low: rows that come from the devices before.
      high: rows that come from those after.
      starts: for each device, the first row that it sees, counted from its own first.
      seen: how many rows it sees.
      padded: whether windows see rows before the first or after the last.
      windows: where its windows lie on those.
      offsets: for each device, how many of the rows it computes come before its own.
    """

    axis: str
    devices: int
    rows: int
    held: int
    made: int
    low: int
    high: int
    starts: list[int]
    seen: int
    padded: bool
    windows: Windows
    offsets: list[int]

    def seen_rows(self, block: Rows, fill: ArrayLike | None = None) -> Rows:
        """The rows that this device's windows see, from those that each device holds.

        Beyond the first and the last stands `fill`, or zeros.
        """
        seen = _with_neighbours(block, self.low, self.high, self.devices, self.axis)
        seen = _cut(seen, [start + self.low for start in self.starts], self.axis, self.seen)
        if fill is None:
            return seen
        along = self._inside().reshape((1, -1) + (1,) * (seen.ndim - 2))
        return jnp.where(along, seen, jnp.asarray(fill, seen.dtype))

    def real(self) -> Bool[Array, " seen"] | None:
        """Which of these are rows of the images; None where no window sees any other."""
        return self._inside() if self.padded else None

    def own_rows(self, outputs: Rows) -> Rows:
        """Those of the outputs that this device is to make."""
        return _cut(outputs, self.offsets, self.axis, self.made)

    def _inside(self) -> Bool[Array, " seen"]:
        first = _entry([start + i * self.held for i, start in enumerate(self.starts)], self.axis)
        place = first + np.arange(self.seen, dtype=np.int32)
        return (place >= 0) & (place < self.rows)


def plan_rows(windows: Windows, axis: str, devices: int) -> RowPlan:
    """The plan for the first spatial axis.

    Where the inputs are dilated, the windows of every device must lie in the same way on their
    pixels. They do if the first one is a multiple of r / gcd(s, r): so some rows before it are
    computed with it, and dropped.
    """
    n, out = windows.sizes[0], windows.output_shape[0]
    s, r = windows.strides[0], windows.input_dilation[0]
    (low, _), e = windows.padding[0], windows.effective_shape[0]
    held, made = -(-n // devices), -(-out // devices)
    period = r // math.gcd(s, r)
    working = [i for i in range(devices) if i * made < out]  # the others get an end's rows
    offsets = [min(i, working[-1]) * made % period for i in range(devices)]
    computed = made + max(offsets)
    span = (computed - 1) * s + e
    before = low % r  # dilated pixels before the first row seen
    seen = max((span - 1 - before) // r + 1, 1)
    starts = []
    for i, offset in enumerate(offsets):
        first = (min(i, working[-1]) * made - offset) * s - low
        starts.append(-(-first // r) - min(i, working[-1]) * held)
    local = Windows(
        sizes=(seen, *windows.sizes[1:]),
        window_shape=windows.window_shape,
        strides=windows.strides,
        padding=((before, span - before - ((seen - 1) * r + 1)), *windows.padding[1:]),
        dilation=windows.dilation,
        input_dilation=windows.input_dilation,
        output_shape=(computed, *windows.output_shape[1:]),
    )
    high = max(max(starts) + seen - held, 0)
    return RowPlan(
        axis=axis,
        devices=devices,
        rows=n,
        held=held,
        made=made,
        low=max(-min(starts), 0),
        high=high,
        starts=starts,
        seen=seen,
        padded=max(windows.fitted_padding[0]) > 0,
        windows=local,
        offsets=offsets,
    )


def _with_neighbours(block: Array, low: int, high: int, devices: int, axis: str) -> Array:
    """One device's rows between the last `low` rows before them and the first `high` after.

    Zeros where there are none. Only where a device holds fewer rows than its neighbour needs do
    they come from farther than next door.
    """
    rows = block.shape[1]

    def moved(piece: Array, by: int) -> Array:
        if abs(by) >= devices:
            return jnp.zeros_like(piece)
        pairs = [(i, i + by) for i in range(devices) if 0 <= i + by < devices]
        return lax.ppermute(piece, axis, pairs)

    pieces = [block]
    for distance in range(1, -(-low // rows) + 1):
        count = min(rows, low - (distance - 1) * rows)
        pieces.insert(0, moved(block[:, rows - count :], distance))
    for distance in range(1, -(-high // rows) + 1):
        count = min(rows, high - (distance - 1) * rows)
        pieces.append(moved(block[:, :count], -distance))
    return jnp.concatenate(pieces, axis=1) if len(pieces) > 1 else block


def _cut(rows: Array, starts: list[int], axis: str, length: int) -> Array:
    """`length` rows from the start that is this device's."""
    if len(set(starts)) == 1:
        return lax.slice_in_dim(rows, starts[0], starts[0] + length, axis=1)
    return lax.dynamic_slice_in_dim(rows, _entry(starts, axis), length, axis=1)


def _entry(values: list[int], axis: str) -> Array:
    """What of `values` is this device's."""
    return lax.dynamic_index_in_dim(
        np.array(values, np.int32), lax.axis_index(axis), keepdims=False
    )


def lengthened(inputs: Array, rows: int) -> Array:
    """The images with rows of zeros at the end, which make the parts equal."""
    more = [(0, 0, 0)] * inputs.ndim
    more[1] = (0, rows - inputs.shape[1], 0)
    return lax.pad(inputs, jnp.zeros((), inputs.dtype), more) if more[1][1] else inputs
