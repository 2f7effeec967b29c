"""Depthwise convolution as a sum of shifted products.

Where every channel has its own taps there is no matrix product in a convolution:

    out[n, i, c] = sum over a of x[n, i*s + a*d, c] * kernel[a, c]

is, for each tap a, one slice of the padded input times one vector, which XLA fuses into a single
pass over memory. XLA's own grouped convolution takes ten times as long on a CPU.
"""

import functools
import operator

import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxcnn.lowering import slices
from jaxcnn.lowering.problem import ConvProblem


def unsupported(inputs: Array, kernel: Array, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem: it isn't depthwise."""
    if kernel.shape[-2] == 1:
        return None
    return (
        "needs a group for each input channel; received "
        f"{problem.feature_group_count} groups for {inputs.shape[-1]} channels"
    )


def conv(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
) -> Num[Array, "n *out out_features"]:
    """Cross-correlates every channel with its own taps."""
    out_dtype, sum_dtype = _dtypes(inputs, problem)
    inputs, kernel = inputs.astype(sum_dtype), kernel.astype(sum_dtype)
    multiplier = kernel.shape[-1] // inputs.shape[-1]
    if multiplier > 1:
        inputs = jnp.repeat(inputs, multiplier, axis=-1)
    padded = slices.pad_for_windows(inputs, problem.windows, 0)
    terms = (
        pixels * kernel[tap].reshape((1,) * (inputs.ndim - 1) + (-1,))
        for tap, pixels in slices.tap_slices(padded, problem.windows)
    )
    return functools.reduce(operator.add, terms).astype(out_dtype)


def _dtypes(inputs: Array, problem: ConvProblem) -> tuple[jnp.dtype, jnp.dtype]:
    """What to return and what to sum in: 16-bit floats are summed in float32."""
    dtype = jnp.dtype(problem.preferred_element_type or inputs.dtype)
    narrow = jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4
    return dtype, jnp.dtype(jnp.float32) if narrow else dtype
