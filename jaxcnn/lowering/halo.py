"""Windows over images that are spread over many devices: each computes its own rows.

Under `jax.set_mesh` with a mesh whose axes are called "data" and "space", the images of a batch lie
on the devices along "data" and the rows of each image on those along "space": device i of S holds
the rows i*b to (i + 1)*b - 1, b = ceil(n / S), and computes the output rows i*c to (i + 1)*c - 1,
c = ceil(out / S). These see the input rows

    q >= (i*c*s - p) / r,        q <= ((i*c + c - 1)*s - p + e - 1) / r

under stride s, low padding p, input dilation r and windows that span e pixels. What is missing of
them comes from the devices before and after by `lax.ppermute`, the halo; beyond the first and the
last stands the padding. Then every device runs the same small program, whichever algorithm suits
it. The transpose of an exchange is the exchange back, so that JAX differentiates it as it stands,
and a kernel's gradient is the sum over all devices.

XLA partitions a convolution by itself too, but not safely: with JAX 0.10.2 and 0.12 its gradient
was wrong for 3x3 windows on two rows over two devices, and some kernels of 7x7 end the process; a
scan over images, which some algorithms here are, makes it gather them all on every device.

Where something else than zeros stands in the padding, which rows are real is known to each device
by its place among them: a window of -inf alone sends its gradient to one of these.
"""

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, PartitionSpec
from jax.typing import ArrayLike
from jaxtyping import Array, Shaped

from jaxcnn.geometry import Windows

DATA, SPACE = "data", "space"
_UNSPLIT: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("unsplit", default=())


class Parts(NamedTuple):
    """Into how many parts images, and the rows of each, are split."""

    data: int
    space: int


def parts(inputs: Shaped[Array, "n ..."]) -> Parts | None:
    """How `inputs` are to be split; None where they are one device's alone.

    Images that do not divide among the devices are computed by all of them.
    """
    mesh = jax.sharding.get_abstract_mesh()
    automatic = {
        name: size
        for name, size, kind in zip(mesh.axis_names, mesh.axis_sizes, mesh.axis_types, strict=True)
        if kind == AxisType.Auto and name not in _UNSPLIT.get()
    }
    found = Parts(automatic.get(DATA, 1), automatic.get(SPACE, 1))
    if inputs.shape[0] == 0 or inputs.shape[0] % found.data:
        found = found._replace(data=1)
    return None if found == (1, 1) else found


@contextlib.contextmanager
def unsplit(axes: tuple[str, ...]) -> Iterator[None]:
    """Within, these axes of the mesh split nothing, whatever they are called."""
    token = _UNSPLIT.set(axes)
    try:
        yield
    finally:
        _UNSPLIT.reset(token)


def spread(
    compute: Callable[..., Array],
    split: Parts,
    windows: Windows,
    inputs: Shaped[Array, "n *spatial channels"],
    *whole: Array,
    fill: ArrayLike | None = None,
) -> Shaped[Array, "n *out features"]:
    """Computes windows on all devices.

    Args:
      compute: `(windows, inputs, *whole)` to outputs, for one device's part; with a fill it takes
        `(windows, inputs, real)`, real saying which rows are, None if no window begins before them.
      split: into how many parts.
      windows: where the windows lie on the whole images.
      inputs: the images.
      *whole: arrays that every device needs whole, such as a kernel.
      fill: what stands in the padding, None for zeros.
    """
    axes = [axis for axis, count in zip((DATA, SPACE), split, strict=True) if count > 1]
    spec = PartitionSpec(*(axis if axis in axes else None for axis in (DATA, SPACE)))
    plan = _plan(windows, split.space)

    def part(inputs: Array, *whole: Array) -> Array:
        whole = tuple(lax.pcast(array, tuple(axes), to="varying") for array in whole)
        if split.space == 1:
            return compute(windows, inputs, *(() if fill is None else (None,)), *whole)
        index = lax.axis_index(SPACE)
        rows = _with_neighbours(inputs, plan.low, plan.high, split.space)
        rows = _cut(rows, [start + plan.low for start in plan.starts], index, plan.seen)
        real = ()
        if fill is not None:
            first = _entry([start + i * plan.held for i, start in enumerate(plan.starts)], index)
            place = first + np.arange(plan.seen, dtype=np.int32)
            inside = (place >= 0) & (place < windows.sizes[0])
            along = inside.reshape((1, -1) + (1,) * (rows.ndim - 2))
            rows = jnp.where(along, rows, jnp.asarray(fill, rows.dtype))
            real = (inside if windows.padding[0][0] > 0 else None,)
        outputs = compute(plan.windows, rows, *real, *whole)
        return _cut(outputs, plan.offsets, index, plan.made)

    inputs = _lengthened(inputs, plan.held * split.space)
    outputs = jax.shard_map(
        part,
        in_specs=(spec, *(PartitionSpec() for _ in whole)),
        out_specs=spec,
        axis_names=set(axes),
    )(inputs, *whole)
    return lax.slice_in_dim(outputs, 0, windows.output_shape[0], axis=1)


def whole_rows(inputs: Shaped[Array, "n rows ..."]) -> Shaped[Array, "n rows ..."]:
    """The same images with all rows on every device along "space", put together by one sum.

    For what cannot be split by rows any more, such as the small maps before a dense layer.
    """
    split = parts(inputs)
    if split is None or split.space == 1:
        return inputs
    held = -(-inputs.shape[1] // split.space)
    axes = {SPACE} | ({DATA} if split.data > 1 else set())
    images = DATA if split.data > 1 else None

    def part(block: Array) -> Array:
        shape = (block.shape[0], held * split.space, *block.shape[2:])
        start = lax.axis_index(SPACE) * held
        laid = lax.dynamic_update_slice_in_dim(jnp.zeros(shape, block.dtype), block, start, 1)
        return lax.psum(laid, SPACE)

    outputs = jax.shard_map(
        part,
        in_specs=PartitionSpec(images, SPACE),
        out_specs=PartitionSpec(images),
        axis_names=axes,
    )(_lengthened(inputs, held * split.space))
    return lax.slice_in_dim(outputs, 0, inputs.shape[1], axis=1)


class _Plan(NamedTuple):
    """What each device does along the axis that is split.

    Attributes:
      held: input rows on each device.
      made: output rows on each device.
      low: rows that come from the devices before.
      high: rows that come from those after.
      starts: for each device, the first row that it sees, counted from its own first.
      seen: how many rows it sees.
      windows: where its windows lie on those.
      offsets: for each device, how many of the rows it computes come before its own.
    """

    held: int
    made: int
    low: int
    high: int
    starts: list[int]
    seen: int
    windows: Windows
    offsets: list[int]


def _plan(windows: Windows, devices: int) -> _Plan:
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
    return _Plan(held, made, max(-min(starts), 0), high, starts, seen, local, offsets)


def _with_neighbours(block: Array, low: int, high: int, devices: int) -> Array:
    """One device's rows between the last `low` rows before them and the first `high` after.

    Zeros where there are none. Only where a device holds fewer rows than its neighbour needs do
    they come from farther than next door.
    """
    rows = block.shape[1]

    def moved(piece: Array, by: int) -> Array:
        if abs(by) >= devices:
            return jnp.zeros_like(piece)
        pairs = [(i, i + by) for i in range(devices) if 0 <= i + by < devices]
        return lax.ppermute(piece, SPACE, pairs)

    pieces = [block]
    for distance in range(1, -(-low // rows) + 1):
        count = min(rows, low - (distance - 1) * rows)
        pieces.insert(0, moved(block[:, rows - count :], distance))
    for distance in range(1, -(-high // rows) + 1):
        count = min(rows, high - (distance - 1) * rows)
        pieces.append(moved(block[:, :count], -distance))
    return jnp.concatenate(pieces, axis=1) if len(pieces) > 1 else block


def _cut(rows: Array, starts: list[int], index: Array, length: int) -> Array:
    """`length` rows from the start that is this device's."""
    if len(set(starts)) == 1:
        return lax.slice_in_dim(rows, starts[0], starts[0] + length, axis=1)
    return lax.dynamic_slice_in_dim(rows, _entry(starts, index), length, axis=1)


def _entry(values: list[int], index: Array) -> Array:
    """What of `values` is this device's."""
    return lax.dynamic_index_in_dim(np.array(values, np.int32), index, keepdims=False)


def _lengthened(inputs: Array, rows: int) -> Array:
    """The images with rows of zeros at the end, which make the parts equal."""
    more = [(0, 0, 0)] * inputs.ndim
    more[1] = (0, rows - inputs.shape[1], 0)
    return lax.pad(inputs, jnp.zeros((), inputs.dtype), more) if more[1][1] else inputs
