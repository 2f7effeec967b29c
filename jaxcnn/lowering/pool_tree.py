"""Max and min pooling of long windows: by doubling, and differentiated as it stands.

Each block of taps is the better of its two halves, the left one where they are equal, so that the
first maximum in row-major order wins. The derivative of each step is a select by who won, which JAX
transposes by itself. With each value goes, where it is asked for, the place it came from.

A half without a pixel of the input never wins: that is known beforehand, so that a window of -inf
sends nothing into the padding.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Integer, Shaped

from jaxcnn.geometry import Size, Windows
from jaxcnn.lowering import slices
from jaxcnn.lowering.dtypes import extreme, widen
from jaxcnn.lowering.first_max import beats
from jaxcnn.lowering.pool_shift import shared
from jaxcnn.lowering.reduce_axis import by_doubling


@dataclasses.dataclass(frozen=True, slots=True)
class _Run:
    """Blocks of taps along one axis.

    Attributes:
      arrays: the best value of each, and whatever goes with it.
      seen: whether any of its taps lies on the input, along this axis.
    """

    arrays: tuple[Array, ...]
    seen: np.ndarray | Array


def extremes(
    inputs: Shaped[Array, "n *spatial channels"], windows: Windows, largest: bool
) -> Shaped[Array, "n *out channels"]:
    """The values alone."""
    return _winners((inputs,), None, windows, largest)[0]


def kept(windows: Windows, images: Size, channels: int) -> list[jax.ShapeDtypeStruct]:
    """Nothing: the derivative begins with the inputs, and XLA computes once what is done twice."""
    return []


def found(
    inputs: Shaped[Array, "n *spatial channels"],
    plane: Integer[Array, "1 *spatial 1"] | None,
    real: Bool[Array, " rows"] | None,
    windows: Windows,
    largest: bool,
) -> tuple[Array, Array | None, tuple[()]]:
    """The values, and what `plane` holds where they lie: see `pool_rule`."""
    if plane is None:
        return _winners((inputs,), real, windows, largest)[0], None, ()
    values, indices = _winners((inputs, plane), real, windows, largest)
    return values, jnp.broadcast_to(indices, values.shape), ()


def moved(
    tangent: Array,
    inputs: Array,
    real: Array | None,
    windows: Windows,
    largest: bool,
    nothing: Sequence[Array],
) -> Array:
    """The tangent of the values: see `pool_rule`."""

    def values(inputs: Array) -> Array:
        return _winners((inputs,), real, windows, largest)[0]

    return jax.jvp(values, (inputs,), (tangent,))[1]


@functools.partial(jax.jit, static_argnums=(2, 3))
def _winners(
    arrays: tuple[Array, ...], real: Array | None, windows: Windows, largest: bool
) -> tuple[Array, ...]:
    """The best of each window by the first of the arrays."""
    dtype = arrays[0].dtype
    # The transpose adds up where windows overlap: widening 16-bit floats changes no value.
    arrays = (widen(arrays[0]), *arrays[1:])
    fills = (extreme(arrays[0].dtype, lowest=largest), *(0 for _ in arrays[1:]))
    arrays = tuple(
        slices.pad_for_windows(array, windows, fill)
        for array, fill in zip(arrays, fills, strict=True)
    )
    for axis in reversed(range(windows.rank)):
        seen = slices.real_pixels(windows, axis, real)
        arrays = tuple(shared(array, windows, axis) for array in arrays)
        combine = functools.partial(_better, windows=windows, axis=axis, largest=largest)
        cut = functools.partial(_cut, axis=axis)
        arrays = by_doubling(_Run(arrays, seen), windows, axis, combine, cut).arrays
    return (arrays[0].astype(dtype), *arrays[1:])


def _better(left: _Run, right: _Run, *, windows: Windows, axis: int, largest: bool) -> _Run:
    """The better of two runs of blocks, the left one where they are equal."""
    wins = beats(right.arrays[0], left.arrays[0], largest)
    entered = right.seen & ~left.seen
    if not isinstance(entered, np.ndarray) or entered.any():
        wins |= slices.lay_along(entered, windows, axis)
    arrays = tuple(
        jnp.where(wins, theirs, ours)
        for ours, theirs in zip(left.arrays, right.arrays, strict=True)
    )
    return _Run(arrays, left.seen | right.seen)


def _cut(run: _Run, start: int, stop: int, step: int, *, axis: int) -> _Run:
    arrays = tuple(lax.slice_in_dim(a, start, stop, step, axis + 1) for a in run.arrays)
    return _Run(arrays, run.seen[start:stop:step])
