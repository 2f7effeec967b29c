"""The logarithm of a window's summed exponentials with all taps in one pass, as on a GPU.

    out = top + log(sum over t of exp(x[t] - top)),        top the largest x[t] of the window

Its tangent is stated, so that what JAX would keep, an exponential for every tap, is computed again
where it is used:

    d out = sum over t of share * exp(x[t] - out) * dx[t]

which transposes into one kernel that reads for each pixel the windows that hold it. The share is 1,
but for two corners: in a window with inf, of which `elements` are infinite, x[t] - out is 0 for
these and the share 1 / elements; in a window of -inf it is 0. So a small integer is kept.

Predicted: two kernels, each array moved once, the inputs twice. Compiled for an H100, 32 images of
32x32x64, windows of 3x3 with strides 2, forward and backward, float32, kernels and MB; by shifted
slices, an axis after the other; lax; the least:

    2, 32    6, 90    4, 41    20

Large windows go in stages, as a maximum does: log(sum exp) of the rows' log(sum exp).
"""

import functools
import operator

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcnn.geometry import Windows
from jaxcnn.lowering import slices
from jaxcnn.lowering.pool_stages import stages

MOST_TAPS = 27  # in one pass


def logsumexp_pool(
    inputs: Float[Array, "n *spatial channels"], windows: Windows
) -> Float[Array, "n *out channels"]:
    """log(sum(exp)) of each window; the padding counts as -inf."""
    values = inputs
    for part in stages(windows, MOST_TAPS):
        values = _differentiable(values, part)
    return values


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _differentiable(inputs: Array, windows: Windows) -> Array:
    return _found(inputs, windows)[0]


@_differentiable.defjvp
def _tangent(windows: Windows, primals, tangents):
    (inputs,), (moving,) = primals, tangents
    _, elements = _found(lax.stop_gradient(inputs), windows)
    outputs = _differentiable(inputs, windows)
    return outputs, _moved(moving, inputs, outputs, elements, windows)


@functools.partial(jax.jit, static_argnums=1)
def _found(inputs: Array, windows: Windows) -> tuple[Array, Array]:
    """The values, and how many elements share a window's gradient where not the softmax does."""
    taps = list(slices.padded_taps(inputs, windows, -jnp.inf))
    top = functools.reduce(lax.max, taps)
    zero, one = jnp.zeros((), top.dtype), jnp.ones((), top.dtype)
    least = jnp.where(top > -jnp.inf, top, zero)  # NaN too is found by the exponentials
    total = functools.reduce(operator.add, (jnp.exp(_below(tap, least)) for tap in taps))
    empty = total == 0
    values = jnp.where(empty, -jnp.inf, least + jnp.log(jnp.where(empty, one, total)))
    elements = jnp.where(empty, zero, jnp.where(least == jnp.inf, total, one))
    return values, elements.astype(jnp.uint8 if len(taps) < 256 else jnp.int32)


@functools.partial(jax.jit, static_argnums=4)
def _moved(moving: Array, inputs: Array, outputs: Array, elements: Array, windows: Windows):
    """The tangent of the values; linear in `moving`."""
    zero = jnp.zeros((), outputs.dtype)
    share = jnp.where(elements == 0, zero, 1 / elements.astype(outputs.dtype))
    terms = (
        share * jnp.exp(_below(tap, outputs)) * met
        for tap, met in zip(
            slices.padded_taps(inputs, windows, -jnp.inf),
            slices.padded_taps(moving, windows, 0),
            strict=True,
        )
    )
    return functools.reduce(operator.add, terms)


@jax.custom_jvp
def _below(values: Array, top: Array) -> Array:
    """values - top, and 0 where they are equal, infinite ones as well."""
    return jnp.where(values == top, jnp.zeros((), values.dtype), values - top)


@_below.defjvp
def _tangent_below(primals, tangents) -> tuple[Array, Array]:
    return _below(*primals), tangents[0] - tangents[1]
