"""Max and min pooling with all taps in one pass: what a GPU is fastest at.

A GPU is bound by the bytes that its kernels move, and each array that a kernel leaves for the next
is moved twice. So one kernel reads all taps of a window as shifted slices and keeps the best of
them with the number of the tap that won, and another one collects the gradient: pixel q gets

    dx[q] = sum over taps t of (dy[o] where winner[o] = t, o the window that meets q with t).

That is the transpose of a sum over taps of selected slices, which XLA fuses into one kernel that
gathers. Nothing is scattered, and the terms are added in a fixed order.

The taps are read in row-major order, and the first of equal values stays; a NaN beats every number
and no NaN. A window starts out with its first tap on the input as the winner and with the worst
value there is, so that one of -inf alone sends its gradient to a pixel.

Predicted: two kernels in place of one or more an axis, each array moved once. Compiled for an H100,
64 images of 32x32x64, forward and backward, float32, kernels and MB; shift; lax; the least:

    2x2 strides 2     2,  48     4, 101     4, 130      42
    3x3 strides 2     2,  44     8, 144     5, 170      42
    3x3               2,  76     8, 273     5, 309      67
    5x5, 32 images    2,  38     8, 165     5, 158      34

Each tap is a load and a comparison, and takes its time to compile. So from `MOST_TAPS` on the axes
go in groups, from the last to the first, each with a pair of kernels: the first maximum of a window
lies in the first of its rows that reach it, and is the first there. 7x7 on 32 images: 4 kernels and
76 MB, 14 loads a window; with 49 loads 2 kernels and 38 MB. 31x31 on 4 images of 64x64x32: 4 and 19
(lax 5 and 45, with 961 loads).
"""

import functools
import math
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Integer, Shaped

from jaxcnn.geometry import Size, Windows
from jaxcnn.lowering import pool_stages, slices
from jaxcnn.lowering.dtypes import extreme, widen
from jaxcnn.lowering.first_max import beats

MOST_TAPS = 27  # in one pass

Winners = tuple[Integer[Array, "n *_ channels"], ...]


def stages(windows: Windows) -> list[Windows]:
    """The windows along the axes that one pass takes, pass after pass."""
    return pool_stages.stages(windows, MOST_TAPS)


def extremes(inputs: Array, windows: Windows, largest: bool) -> Array:
    """The values alone."""
    return winners(inputs, None, windows, largest)[0]


@functools.partial(jax.jit, static_argnums=(2, 3))
def winners(
    inputs: Array, real: Array | None, windows: Windows, largest: bool
) -> tuple[Array, Winners]:
    """The values, and the number of the tap that won in each window, for each of the `stages`."""
    found, values = [], inputs
    for number, part in enumerate(stages(windows)):
        values = lax.optimization_barrier(values) if number else values
        values, winner = _best(values, part, real, largest)
        found.append(winner)
    return values, tuple(found)


def _best(
    inputs: Array, windows: Windows, real: Array | None, largest: bool
) -> tuple[Array, Array]:
    neutral = extreme(inputs.dtype, lowest=largest)
    shape = (inputs.shape[0], *windows.output_shape, inputs.shape[-1])
    if windows.window_shape[0] == 1:  # rows wholly in the padding lose later
        real = None
    winner = slices.first_tap(windows, np.dtype(_winner_dtype(windows)), real)
    winner = jnp.broadcast_to(winner, shape)
    best = jnp.full(shape, neutral, inputs.dtype)
    for number, rival in enumerate(slices.padded_taps(inputs, windows, neutral)):
        wins = beats(rival, best, largest)
        best = jnp.where(wins, rival, best)
        winner = jnp.where(wins, jnp.asarray(number, winner.dtype), winner)
    return best, winner


@functools.partial(jax.jit, static_argnums=1)
def at_winners(
    values: Shaped[Array, "#n *spatial #channels"], windows: Windows, found: Winners
) -> Shaped[Array, "n *out channels"]:
    """The element of each window that `winners` found; linear in `values`.

    `values` may have size 1 where all images, or all channels, hold the same.
    """
    dtype = values.dtype
    if any(map(operator.gt, windows.effective_shape, windows.strides)):
        # The transpose adds up where windows overlap: the detour makes 16-bit sums float32 ones.
        values = widen(values)
    for number, (part, winner) in enumerate(zip(stages(windows), found, strict=True)):
        values = lax.optimization_barrier(values) if number else values
        zero = jnp.zeros((), values.dtype)
        terms = (
            jnp.where(winner == jnp.asarray(tap, winner.dtype), met, zero)
            for tap, met in enumerate(slices.padded_taps(values, part, 0))
        )
        values = functools.reduce(operator.add, terms)
    return values.astype(dtype)


def found(
    inputs: Shaped[Array, "n *spatial channels"],
    plane: Integer[Array, "1 *spatial 1"] | None,
    real: Bool[Array, " rows"] | None,
    windows: Windows,
    largest: bool,
) -> tuple[Array, Array | None, Winners]:
    """The values, what `plane` holds where they lie, and the winners: see `pool_rule`."""
    values, places = winners(inputs, real, windows, largest)
    return values, None if plane is None else at_winners(plane, windows, places), places


def moved(
    tangent: Array,
    inputs: Array,
    real: Array | None,
    windows: Windows,
    largest: bool,
    places: Sequence[Array],
) -> Array:
    """The tangent of the values: see `pool_rule`."""
    return at_winners(tangent, windows, tuple(places))


def kept(windows: Windows, images: Size, channels: int) -> list[jax.ShapeDtypeStruct]:
    """What `winners` has beside the values."""
    return [
        jax.ShapeDtypeStruct((images, *part.output_shape, channels), _winner_dtype(part))
        for part in stages(windows)
    ]


def _winner_dtype(windows: Windows) -> DTypeLike:
    return jnp.uint8 if math.prod(windows.window_shape) <= 256 else jnp.int32
