"""Convolution with one tap as the matrix product that it is.

With k = 1 the sum over taps has one term: out[i, o] = sum over c of x[i*s, c] * kernel[c, o]. A dot
keeps its speed in its derivatives, which are dots again, and inside a scan; the gradient that XLA
makes of the convolution is three times as slow (256 -> 256 channels: 124 ms against 39).
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Num

from jaxcnn.lowering.problem import ConvProblem, Typed


def unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem."""
    windows = problem.windows
    if any(size != 1 for size in windows.window_shape):
        return f"takes kernels of one tap, not {windows.window_shape}"
    if problem.feature_group_count != 1:
        return f"takes one group of channels, not {problem.feature_group_count}"
    return None


def conv(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
) -> Num[Array, "n *out out_features"]:
    """Multiplies every pixel that a window starts at by the one tap."""
    windows = problem.windows
    zero = jnp.zeros((), inputs.dtype)
    pads = (
        (low, high, rate - 1)
        for (low, high), rate in zip(windows.fitted_padding, windows.input_dilation, strict=True)
    )
    pixels = lax.pad(inputs, zero, ((0, 0, 0), *pads, (0, 0, 0)))
    pixels = pixels[:, *(slice(None, None, s) for s in windows.strides)]
    return lax.dot_general(
        pixels,
        kernel.reshape(kernel.shape[-2:]),
        (((pixels.ndim - 1,), (0,)), ((), ())),
        precision=problem.precision,
        preferred_element_type=problem.preferred_element_type,
    )
