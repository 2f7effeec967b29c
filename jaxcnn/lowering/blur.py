"""A binomial filter as sums of shifted slices, one axis after the other."""

import math

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Inexact

from jaxcnn.geometry import Windows
from jaxcnn.lowering import halo, slices
from jaxcnn.lowering.unknown import spare_no_window


@halo.by_rows()
@spare_no_window
def blur(
    inputs: Inexact[Array, "n *padded channels"], windows: Windows
) -> Inexact[Array, "n *out channels"]:
    """Filters an input that is padded already with the binomial coefficients along each axis.

    Coefficients that are equal, the first and the last and so on, share one product.
    """
    values = inputs if windows.known else slices.pad_for_windows(inputs, windows, 0)
    for axis in reversed(range(windows.rank)):
        last = windows.window_shape[axis] - 1
        if axis < windows.rank - 1:
            # Otherwise XLA would fuse both axes, and compute the first sum once for every tap of
            # the second.
            values = lax.optimization_barrier(values)
        terms = []
        for tap in range(last // 2 + 1):
            pair = slices.axis_slice(values, windows, axis, tap)
            if tap != last - tap:
                pair = pair + slices.axis_slice(values, windows, axis, last - tap)
            coefficient = math.comb(last, tap) / 2**last
            terms.append(pair * jnp.asarray(coefficient, values.dtype))
        values = sum(terms[1:], terms[0])
    return values
