"""Any reducer over windows as a chain over shifted slices, one axis after the other.

XLA's `reduce_window` has a derivative for sums and extremes only. Here the reducer is applied to
whole arrays, tap after tap, and JAX differentiates it as it would any function. Reducing the last
axis first combines the taps in row-major order, so that the reducer needs to be associative but not
commutative.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Shaped

from jaxcnn.geometry import Windows
from jaxcnn.lowering import slices
from jaxcnn.lowering.dtypes import spread
from jaxcnn.lowering.pool_shift import shared
from jaxcnn.lowering.reduce_axis import reduce_axis
from jaxcnn.lowering.unknown import spare_no_window


@spare_no_window
def pool(
    inputs: Shaped[Array, "n *spatial channels"],
    init: Shaped[Array, ""],
    reduce_fn: Callable[[Array, Array], Array],
    windows: Windows,
) -> Shaped[Array, "n *out channels"]:
    """Reduces each window; `init` stands in the padding and before the first tap."""
    values = slices.pad_for_windows(inputs, windows, init)
    for axis in reversed(range(windows.rank)):
        values = shared(values, windows, axis)
        values = reduce_axis(values, windows, axis, reduce_fn)
    return reduce_fn(jnp.broadcast_to(spread(init, values), values.shape), values)
