"""Sums of windows as sums of shifted slices, one axis after the other.

The sum of a window is the sum of its rows' sums: k1 + k2 additions a pixel in place of k1*k2. Each
is linear, and JAX transposes it into pads and sums.
"""

import functools
import operator

import jax
from jaxtyping import Array, Num

from jaxcnn.geometry import Windows
from jaxcnn.lowering import slices
from jaxcnn.lowering.pool_shift import shared
from jaxcnn.lowering.reduce_axis import reduce_axis


@functools.partial(jax.jit, static_argnums=1)
def sum_pool(
    inputs: Num[Array, "n *spatial channels"], windows: Windows
) -> Num[Array, "n *out channels"]:
    """Adds up each window; the padding counts as 0."""
    values = slices.pad_for_windows(inputs, windows, 0)
    for axis in reversed(range(windows.rank)):
        values = shared(values, windows, axis)
        values = reduce_axis(values, windows, axis, operator.add)
    return values
