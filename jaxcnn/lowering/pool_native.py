"""Max and min pooling as a TPU has it built in: `reduce_window`, and its select-and-scatter.

Both are native there, and select-and-scatter adds in a fixed order on that machine. JAX's own
derivative of a maximum is that, and knows the first of equal values, but compares a NaN as no
number, and may take a pixel of -inf for the padding. So here it compares keys in place
of the inputs, floats of 32 bits or more:

    NaN        the largest number M
    inf        3/4 M
    x          x / 2, between -M/2 and M/2
    -inf       -3/4 M
    padding    -inf

for a minimum those of -x. Halving keeps the order of all numbers but those below twice the smallest
normal one, which a TPU takes for zeros anyway. Rows that only stand for padding have its key.

JAX has no derivative for dilated windows, and those are refused.

Predicted: faster than strided slices, but for the keys, which cost a pass over the inputs. Compiled
for a TPU v5e, forward and backward, bfloat16, thousand cycles of the compiler's schedule, by it,
by slices (`pool_shift`, for 31x31 `pool_tree`), by JAX's own derivative:

    4 taps strides 4, one axis               150     408     144
    2x2 strides 2, 64 images of 32x32x64     730     232     664
    3x3 strides 2                            636     488     564
    3x3                                     1503     622    1491
    5x5, 32 images                           977     448     975
    31x31, 4 images of 64x64x32              674     214     668
    3x3x3 strides 2, 4 of 16x32x32x16       1293     572    1285

so that it is right for windows along one axis, where slices have no other to lie along, and where
the keys fit on the chip: see `choices`.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Shaped

from jaxcnn.geometry import Size, Windows
from jaxcnn.lowering import pool_shift, pool_window, slices
from jaxcnn.lowering.dtypes import widen

extremes = pool_window.extremes


def kept(windows: Windows, images: Size, channels: int) -> list[jax.ShapeDtypeStruct]:
    """Nothing: the gradient looks at the inputs."""
    return []


def found(
    inputs: Array, plane: Array | None, real: Array | None, windows: Windows, largest: bool
) -> tuple[Array, Array | None, tuple[()]]:
    """The values, and what `plane` holds where they lie, by shifted slices: see `pool_rule`."""
    indices = None
    if plane is not None:
        _, indices, _ = pool_shift.found(inputs, plane, real, windows, largest)
    return extremes(inputs, windows, largest), indices, ()


@functools.partial(jax.jit, static_argnums=(3, 4))
def moved(
    tangent: Shaped[Array, "n *spatial channels"],
    inputs: Shaped[Array, "n *spatial channels"],
    real: Bool[Array, " rows"] | None,
    windows: Windows,
    largest: bool,
    nothing: Sequence[Array],
) -> Shaped[Array, "n *out channels"]:
    """The tangent of the values: see `pool_rule`."""
    keys = _keys(inputs, largest)
    if real is not None:
        worst = jnp.asarray(-jnp.inf, keys.dtype)
        keys = jnp.where(slices.lay_along(real, windows, 0), keys, worst)

    def best(keys: Array) -> Array:
        return pool_window.extremes(keys, windows, True)

    return jax.jvp(best, (keys,), (widen(tangent),))[1].astype(tangent.dtype)


def _keys(inputs: Array, largest: bool) -> Array:
    """Floats in the order in which elements win, above -inf."""
    wide = widen(inputs) if largest else -widen(inputs)
    most = jnp.asarray(jnp.finfo(wide.dtype).max, wide.dtype)
    keys = jnp.clip(wide / 2, -0.75 * most, 0.75 * most)
    return jnp.where(wide != wide, most, keys)
