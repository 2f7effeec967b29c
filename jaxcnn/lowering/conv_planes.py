"""Convolution over three or more axes as a sum of two-dimensional ones.

Fix the taps along all axes but the last two: what is left of the sum

    out[z, i, j] = sum over a of ( sum over b, c of x[z*s + a*d, i + b, j + c] * kernel[a, b, c] )

is, for each a, a convolution of planes, every plane an image of its own. XLA's CPU compiler has a
fast path for those and for their derivatives (`conv_canonical`), and none for three axes.
"""

import dataclasses
import functools
import itertools
import operator

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Num

from jaxcnn.lowering.problem import ConvProblem, Inner, Typed


def unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem."""
    if problem.windows.rank < 3:
        return f"takes three spatial axes or more, not {problem.windows.rank}"
    if problem.feature_group_count != 1:
        return f"takes one group of channels, not {problem.feature_group_count}"
    if any(rate != 1 for rate in problem.windows.input_dilation):
        return f"takes no input dilation, not {problem.windows.input_dilation}"
    return None


def conv(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
    inner: Inner,
) -> Num[Array, "n *out out_features"]:
    """Cross-correlates plane by plane, by `inner`, and adds up over the taps between planes."""
    windows = problem.windows
    depth = windows.rank - 2
    counts, strides = windows.output_shape[:depth], windows.strides[:depth]
    pads = ((low, high, 0) for low, high in windows.fitted_padding[:depth])
    zero = jnp.zeros((), inputs.dtype)
    padded = lax.pad(inputs, zero, ((0, 0, 0), *pads, *((0, 0, 0),) * 3))
    plane = dataclasses.replace(problem, windows=windows.trailing(2))

    def term(tap: tuple[int, ...]) -> Array:
        where = (
            slice(a * d, a * d + (count - 1) * s + 1, s)
            for a, d, count, s in zip(tap, windows.dilation[:depth], counts, strides, strict=True)
        )
        pixels = padded[:, *where]
        return inner(pixels.reshape((-1, *pixels.shape[depth + 1 :])), kernel[tap], plane)

    taps = itertools.product(*map(range, windows.window_shape[:depth]))
    outputs = functools.reduce(operator.add, map(term, taps))
    return outputs.reshape((inputs.shape[0], *counts, *outputs.shape[1:]))
