"""All windows of an image side by side, and their sum back in place, axis by axis.

Both maps separate by axes: cutting windows of k1 x k2 taps is cutting k2 along the last axis and
then k1 along the first, so that k1 + k2 slices do what k1*k2 would. The sum is made so, or by all
taps at once.
"""

import dataclasses
import functools
import math
import operator
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Num, Shaped

from jaxcnn.geometry import Windows
from jaxcnn.lowering import halo, slices, unknown
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.choices import fold_choice
from jaxcnn.lowering.dtypes import widen
from jaxcnn.lowering.per_platform import PerPlatform
from jaxcnn.lowering.problem import Typed


@halo.by_rows()
@unknown.spare_no_window
def unfold(
    inputs: Shaped[Array, "n *spatial channels"], windows: Windows
) -> Shaped[Array, "n *out_and_window channels"]:
    """Copies every window: (n, *out, *window_shape, channels), zeros in the padding."""
    dtype = inputs.dtype
    n, channels = inputs.shape[0], inputs.shape[-1]
    # The transpose of overlapping slices is a sum. The detour through float32 changes no value, and
    # makes that sum one in float32.
    values = widen(inputs) if _overlap(windows) else inputs
    values = slices.pad_for_windows(values, windows, 0)
    for axis in reversed(range(windows.rank)):
        along = [
            slices.axis_slice(values, windows, axis, tap)
            for tap in range(windows.window_shape[axis])
        ]
        values = lax.concatenate(along, values.ndim - 1)
    shape = (n, *windows.output_shape, *windows.window_shape, channels)
    return values.reshape(shape).astype(dtype)


def fold(
    patches: Num[Array, "n *out_and_window channels"], windows: Windows
) -> Num[Array, "n *spatial channels"]:
    """Adds every window in place, the transpose of `unfold`: (n, *spatial, channels)."""
    enough = unknown.with_a_window(windows)
    if enough != windows:
        patches, windows = unknown.resized(patches, windows, enough), enough
    return by_platform(_Folded(windows), patches)[0]


@dataclasses.dataclass(frozen=True)
class _Folded(PerPlatform):
    windows: Windows

    def on(self, platform: str) -> Callable[..., list[Array]]:
        folded = FOLD_ALGORITHMS[fold_choice(platform, self.windows).algorithm]
        return lambda patches: [folded(patches, self.windows)]

    def outputs(self, operands: Sequence[Typed]) -> list[jax.ShapeDtypeStruct]:
        (patches,) = operands
        shape = (patches.shape[0], *self.windows.sizes, patches.shape[-1])
        return [jax.ShapeDtypeStruct(shape, patches.dtype)]


def _by_axes(patches: Array, windows: Windows) -> Array:
    n, channels = patches.shape[0], patches.shape[-1]
    values = patches.reshape((n, *windows.output_shape, math.prod(windows.window_shape) * channels))
    values = widen(values)
    for axis, size in enumerate(windows.window_shape):
        along = jnp.split(values, size, axis=-1)
        values = functools.reduce(
            operator.add,
            (slices.place_axis_slice(part, windows, axis, tap) for tap, part in enumerate(along)),
        )
    return values.astype(patches.dtype)


def _by_taps(patches: Array, windows: Windows) -> Array:
    """All taps at once, each cut out before it is widened: half the bytes to be laid anew."""
    before = (slice(None),) * (windows.rank + 1)
    terms = []
    for tap in slices.taps(windows):
        placed = widen(patches[*before, *tap])
        for axis, a in enumerate(tap):
            placed = slices.place_axis_slice(placed, windows, axis, a)
        terms.append(placed)
    return functools.reduce(operator.add, terms).astype(patches.dtype)


FOLD_ALGORITHMS = {"axes": _by_axes, "taps": _by_taps}


def _overlap(windows: Windows) -> bool:
    """Whether two taps may meet the same pixel: taps a, b with (a - b)*d a multiple of s."""
    return any(
        size > s // math.gcd(s, d)
        for size, s, d in zip(windows.window_shape, windows.strides, windows.dilation, strict=True)
    )
