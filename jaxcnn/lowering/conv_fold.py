"""Dilated convolution along one axis as an undilated one over a plane.

Pixels that lie d apart meet, and no others. Rows of d pixels, one below the other, have those that
meet in the same column:

    (n, W, c) as (n, W/d, d, c),   k taps as k rows of one column

which moves nothing. Compiled for an H100, float32, forward and backward, 2 taps dilated by 16, 64
channels on 16 rows of 2048: 8 kernels and 84 MB as XLA's own, which makes the kernel's gradient a
convolution over copies of both arrays; 5 and 50 so.
"""

import dataclasses

from jaxtyping import Array, Num

from jaxcnn.lowering import conv_direct
from jaxcnn.lowering.problem import ConvProblem, Typed, sizes_unknown


def unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem."""
    windows = problem.windows
    if windows.rank != 1:
        return f"takes one spatial axis, not {windows.rank}"
    if windows.dilation == (1,) or windows.strides != (1,) or windows.input_dilation != (1,):
        return "needs a kernel dilation above 1, and strides and input dilation of 1"
    if not windows.known:
        return sizes_unknown(windows)
    amounts = (*windows.fitted_padding[0], *windows.sizes)
    if any(amount % windows.dilation[0] for amount in amounts):
        return f"needs sizes and padding that {windows.dilation[0]} divides, not {amounts}"
    return None


def conv(
    inputs: Num[Array, "n width in_features"],
    kernel: Num[Array, "taps group_features out_features"],
    problem: ConvProblem,
) -> Num[Array, "n out out_features"]:
    """Cross-correlates rows of as many pixels as there are from tap to tap."""
    windows = problem.windows
    (d,), ((low, high),) = windows.dilation, windows.fitted_padding
    plane = dataclasses.replace(
        windows,
        sizes=(windows.sizes[0] // d, d),
        window_shape=(*windows.window_shape, 1),
        strides=(1, 1),
        padding=((low // d, high // d), (0, 0)),
        dilation=(1, 1),
        input_dilation=(1, 1),
        output_shape=(windows.output_shape[0] // d, d),
    )
    pixels = inputs.reshape((inputs.shape[0], *plane.sizes, inputs.shape[-1]))
    problem = dataclasses.replace(problem, windows=plane)
    outputs = conv_direct.conv(pixels, kernel[:, None], problem)
    return outputs.reshape((inputs.shape[0], *windows.output_shape, kernel.shape[-1]))
