"""Any reducer over windows as a chain over shifted slices, one axis after the other.

XLA's `reduce_window` has a derivative for sums and extremes only. Here the reducer is applied to
whole arrays, tap after tap, and JAX differentiates it as it would any function. Reducing the last
axis first combines the taps in row-major order, so that the reducer needs to be associative but not
commutative.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Shaped

from jaxcnn.geometry import Windows
from jaxcnn.lowering import halo, slices
from jaxcnn.lowering.dtypes import on_all_axes
from jaxcnn.lowering.pool_shift import shared
from jaxcnn.lowering.reduce_axis import reduce_axis
from jaxcnn.lowering.unknown import spare_no_window


@halo.by_rows(lambda given: given["init"])
@spare_no_window
def pool(
    inputs: Shaped[Array, "n *spatial channels"],
    init: Shaped[Array, ""],
    reduce_fn: Callable[[Array, Array], Array],
    windows: Windows,
) -> Shaped[Array, "n *out channels"]:
    """Reduces each window; `init` stands in the padding and before the first tap."""
    values = _padded(inputs, init, windows)
    for axis in reversed(range(windows.rank)):
        values = shared(values, windows, axis)
        values = reduce_axis(values, windows, axis, reduce_fn, _cut)
    return reduce_fn(_before_each(init, values), values)


# Programs, for outside `jit` the transposes of their operations send zeros to the device.
_cut = jax.jit(lax.slice_in_dim, static_argnums=(1, 2, 3, 4))


@functools.partial(jax.jit, static_argnums=2)
def _padded(inputs: Array, init: Array, windows: Windows) -> Array:
    return slices.pad_for_windows(inputs, windows, init)


@jax.jit
def _before_each(init: Array, values: Array) -> Array:
    return jnp.broadcast_to(on_all_axes(init, values), values.shape)
