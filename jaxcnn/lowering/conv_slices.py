"""Depthwise convolution as one pass over memory each way, its kernel's gradient as XLA's own.

Where every channel has its own taps there is no product of matrices, and

    out[n, i, c] = sum over a of x[n, i*s + a*d, c] * kernel[a, c]

is a sum of shifted slices, which XLA fuses into one kernel that reads x once from memory, the
kernel as it lies, and writes the outputs; JAX's transpose to x fuses as well. The sum over all
pixels for the kernel's gradient does not: two taps a pass, 15 kernels for 3x3. It is left to cuDNN
(`conv_spread`), which takes it in one.

Compiled for an H100, float32, forward and backward, 128 channels, 32 images of 32x32: 3x3 6 kernels
and 101 MB as XLA's own, 3 and 101 so; with strides of 2, where XLA dilates the cotangent in a pass
of its own, 7 and 101, and 4 and 63. In three dimensions, which cuDNN gets channels first, 9 kernels
and 25 MB, and 3 and 14. A pixel is loaded once for each tap, from the cache: beyond `TAPS` taps
that takes longer than the memory.
"""

import dataclasses
import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxcnn.lowering import conv_spread, slices
from jaxcnn.lowering.bilinear import Bilinear
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.dtypes import on_all_axes, sum_dtype
from jaxcnn.lowering.problem import ConvProblem, Typed, sizes_unknown


def unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem: it isn't depthwise."""
    windows, groups = problem.windows, problem.feature_group_count
    if kernel.shape[-2] != 1:
        return (
            "needs a group for each input channel; received "
            f"{groups} groups for {inputs.shape[-1]} channels"
        )
    if max(windows.input_dilation) > 1:
        return f"takes no input dilation, not {windows.input_dilation}"
    if not windows.known:
        return sizes_unknown(windows)
    if not jnp.issubdtype(inputs.dtype, jnp.inexact):
        return f"takes floats, not {inputs.dtype}"
    return None


def conv(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
) -> Num[Array, "n *out out_features"]:
    """Cross-correlates every channel with its own taps."""
    return by_platform(_Slices(problem), inputs, kernel)[0]


@dataclasses.dataclass(frozen=True)
class _Slices(Bilinear):
    """The convolution of inputs and kernel."""

    problem: ConvProblem

    def value(self, first: Array, second: Array) -> Array:
        windows, channels = self.problem.windows, first.shape[-1]
        out_dtype = jnp.dtype(self.problem.preferred_element_type or first.dtype)
        wide = sum_dtype(out_dtype)
        padded = slices.pad_for_windows(first.astype(wide), windows, 0)
        kernel = second.astype(wide).reshape((*windows.window_shape, channels, -1))
        copies = []
        for copy in range(kernel.shape[-1]):
            taps = slices.tap_slices(padded, windows)
            terms = (x * on_all_axes(kernel[*tap, :, copy], x) for tap, x in taps)
            copies.append(functools.reduce(operator.add, terms))
        if len(copies) == 1:
            return copies[0].astype(out_dtype)
        outputs = jnp.stack(copies, axis=-1).astype(out_dtype)
        return outputs.reshape((*outputs.shape[:-2], channels * len(copies)))

    def to_first(self, second: Array, cotangent: Array, like: Any) -> Array:
        return jax.linear_transpose(lambda x: self.value(x, second), like)(cotangent)[0]

    def to_second(self, first: Array, cotangent: Array, like: Any) -> Array:
        return conv_spread.kernel_gradient(self.problem, first, cotangent, like)
