"""Values put back by looking up, for each pixel, the windows that could have named it.

An index that the pool gave lies under a tap of its own window. Then pixel u is named by windows i
with i*s + a*d - p_lo = u for a tap a, so that a chain over the taps a of

    out[u] = where(index of that window = u, its value, out[u])

puts every value back. Later windows meet a pixel with earlier taps: the chain runs from the last
tap to the first, so that the last window in row-major order stays. The transpose is a sum of slices
of what was selected.

Any indices are allowed, those of padding that shows pixels from elsewhere among them. So it is
asked first whether all lie in their own windows, and if one does not, all are put back by
`unpool_sort`. Predicted: two kernels that move what has to be moved, and another that asks.
Compiled for an H100, 32 images of 16x16x64 to 32x32, forward and backward, what runs where all lie
so: 5 kernels, 28 MB, 23 the least; lax, which leaves open who wins among equal indices, 9 and 79,
two of them scatters, as are two of 7 by `unpool_scatter`. The host waits for the answer, some ten
microseconds.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Integer, Num

from jaxcnn.geometry import Windows
from jaxcnn.lowering import slices, unpool_sort
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.first_max import positions
from jaxcnn.lowering.per_platform import PerPlatform
from jaxcnn.lowering.problem import Typed
from jaxcnn.lowering.unpool_scatter import in_range, pixels, unpooled_type

Placing = Callable[[Array, Array, Windows], Array]


def place(
    values: Num[Array, "n *out channels"],
    indices: Integer[Array, "n *out channels"],
    windows: Windows,
) -> Num[Array, "n *spatial channels"]:
    """As `unpool_scatter.place`."""
    return where_near(values, indices, windows, _looked_up, unpool_sort.place)


def where_near(
    values: Array, indices: Array, windows: Windows, near: Placing, far: Placing
) -> Array:
    """What `near` gives if all indices lie in their own windows, else what `far` does."""

    def placed(place: Placing, *arrays: Array) -> Array:
        # flat, or XLA has the one that likely runs lay its axes as suits the other
        return by_platform(_Whole(place, windows), *arrays)[0].ravel()

    def rare(*arrays: Array) -> Array:
        with jax.named_scope("rarely"):  # for who reads the compiled program
            return placed(far, *arrays)

    near_all = in_own_window(indices, windows)
    flat = lax.cond(near_all, functools.partial(placed, near), rare, values, indices)
    return flat.reshape((values.shape[0], *windows.sizes, values.shape[-1]))


@dataclasses.dataclass(frozen=True)
class _Whole(PerPlatform):
    """The same on each platform, but one operation.

    So that JAX does not part it, and keep what depends on the indices alone for the transpose.
    """

    place: Placing
    windows: Windows

    def on(self, platform: str) -> Callable[..., list[Array]]:
        return lambda values, indices: [self.place(values, indices, self.windows)]

    def outputs(self, operands: Sequence[Typed]) -> list[jax.ShapeDtypeStruct]:
        return unpooled_type(operands[0], self.windows)


def in_own_window(indices: Integer[Array, "n *out channels"], windows: Windows) -> Bool[Array, ""]:
    """Whether each index is that of a pixel under a tap of its own window."""
    rest = in_range(indices, windows)
    within = [rest < pixels(windows)]
    for axis in reversed(range(windows.rank)):
        size, (low, _) = windows.sizes[axis], windows.padding[axis]
        d, reach = windows.dilation[axis], windows.effective_shape[axis] - 1
        place = rest % size if axis else rest
        rest = rest // size
        window = lax.broadcasted_iota(jnp.int32, indices.shape, axis + 1)
        moved = place - (window * windows.strides[axis] - low)
        within += [moved >= 0, moved <= reach]
        if d > 1:
            within.append(moved % d == 0)
    return jnp.all(functools.reduce(operator.and_, within))


def _looked_up(
    values: Num[Array, "n *out channels"],
    indices: Integer[Array, "n *out channels"],
    windows: Windows,
) -> Num[Array, "n *spatial channels"]:
    here = positions((1, *windows.sizes, 1), tuple(range(1, windows.rank + 1)))
    shape = (values.shape[0], *windows.sizes, values.shape[-1])
    outputs, indices = jnp.zeros(shape, values.dtype), indices.astype(jnp.int32)
    for tap in reversed(list(slices.taps(windows))):
        named = _laid(indices, windows, tap, -1) == here
        outputs = jnp.where(named, _laid(values, windows, tap, 0), outputs)
    return outputs


def _laid(array: Array, windows: Windows, tap: slices.Tap, fill: int) -> Array:
    """What each window holds, at the pixel under one of its taps; `fill` elsewhere."""
    config = [(0, 0, 0)]
    for axis, a in enumerate(tap):
        s, count = windows.strides[axis], windows.output_shape[axis]
        start = a * windows.dilation[axis] - windows.padding[axis][0]
        config.append((start, windows.sizes[axis] - start - ((count - 1) * s + 1), s - 1))
    return lax.pad(array, jnp.asarray(fill, array.dtype), [*config, (0, 0, 0)])
