"""The logarithm of a window's summed exponentials, stable, one axis after the other.

log(sum over a, b of exp(x[a, b])) = log(sum over a of exp(r[a])) with r[a] the same of row a: it
separates by axes like a sum. In each step the largest value m of the window is taken out,

    m + log(sum over t of exp(x[t] - m)),

so that no exponential overflows and one of them is 1. The result does not depend on m: m is held
constant in the derivative, which is the softmax exp(x[t] - out). A window of -inf has m = -inf and
would give inf - inf. There m is put to 0, the sum is 0, and -inf comes out with a gradient of 0. In
a window with inf, what equals m is 0 below it: inf comes out, and its elements share the gradient.
"""

import functools
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcnn.geometry import Windows
from jaxcnn.lowering import slices
from jaxcnn.lowering.pool_shift import shared
from jaxcnn.lowering.reduce_axis import is_long, reduce_axis


@functools.partial(jax.jit, static_argnums=1)
def logsumexp_pool(
    inputs: Float[Array, "n *spatial channels"], windows: Windows
) -> Float[Array, "n *out channels"]:
    """log(sum(exp)) of each window; the padding counts as -inf."""
    values = slices.pad_for_windows(inputs, windows, -jnp.inf)
    for axis in reversed(range(windows.rank)):
        values = shared(values, windows, axis)
        if is_long(windows, axis):
            values = reduce_axis(values, windows, axis, lambda *pair: _log_sum(pair))
        else:
            taps = range(windows.window_shape[axis])
            values = _log_sum([slices.axis_slice(values, windows, axis, tap) for tap in taps])
    if max(windows.window_shape) == 1:  # nothing was summed: a -inf has no gradient here either
        values = jnp.where(values == -jnp.inf, jnp.asarray(-jnp.inf, values.dtype), values)
    return values


@jax.custom_jvp
def _below(values: Array, top: Array) -> Array:
    """values - top with `top` held constant, and 0 where both are infinite."""
    return jnp.where(values == top, jnp.zeros((), values.dtype), values - top)


@_below.defjvp
def _tangent_below(primals, tangents) -> tuple[Array, Array]:
    return _below(*primals), tangents[0]


def _log_sum(taps: Sequence[Array]) -> Array:
    """log(sum(exp)) over the list."""
    if len(taps) == 1:
        return taps[0]
    zero, one = (jnp.asarray(value, taps[0].dtype) for value in (0, 1))
    top = lax.stop_gradient(functools.reduce(lax.max, taps))
    top = jnp.where(top > -jnp.inf, top, zero)  # NaN too is found by the exponentials
    total = functools.reduce(operator.add, (jnp.exp(_below(tap, top)) for tap in taps))
    empty = total == 0
    return jnp.where(empty, -jnp.inf, top + jnp.log(jnp.where(empty, one, total)))
