"""The arguments of every function that convolves with a shared kernel, checked."""

import math

from jax.typing import DTypeLike

from jaxcnn import geometry
from jaxcnn._checks import arrays, dtypes, kernels, options
from jaxcnn._planning.plan import Described, like
from jaxcnn.functional._convolution import Convolution
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering import choose
from jaxcnn.lowering.problem import ConvProblem, Precision, Typed


def convolution(
    inputs: Typed,
    kernel: Typed,
    bias: Typed | None = None,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "VALID",
    padding_mode: str = "zeros",
    input_dilation: IntPerAxis = 1,
    kernel_dilation: IntPerAxis = 1,
    feature_group_count: int = 1,
    flip_kernel: bool = False,
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: str = "auto",
    kernel_argument: str = "kernel",
) -> Convolution:
    """Checks the arguments of `conv`, whose `kernel` may go by another name."""
    rank = kernel.ndim - 2
    batch, sizes, channels = arrays.spatial_batch(
        inputs, rank, because=f"the kernel {kernel.shape} has {rank}"
    )
    groups = kernels.channel_groups(inputs, kernel, feature_group_count)
    kernel_size = kernels.kernel_sizes(kernel)
    dilation = geometry.per_axis("kernel_dilation", kernel_dilation, rank)
    padding, padding_mode = geometry.fill_and_amounts(padding, padding_mode, kernel_size, dilation)
    windows = geometry.windows(
        sizes,
        kernel_size,
        strides=strides,
        padding=padding,
        dilation=dilation,
        input_dilation=input_dilation,
        crop=padding_mode == "zeros",
        window_argument=kernel_argument,
        dilation_argument="kernel_dilation",
    )
    flip = options.flag("flip_kernel", flip_kernel)
    dtype, preferred = dtypes.product_dtypes(
        inputs, kernel, preferred_element_type, kernel_argument
    )
    mode = arrays.fill(windows, padding_mode, "zeros")
    laid = windows if mode is None else windows.padded()
    problem = ConvProblem(laid, groups, options.product_precision(precision), preferred)
    flat = Described((math.prod(batch), *laid.sizes, channels), dtype, False)
    takes(problem, flat, kernel, algorithm)
    kernels.vector(bias, kernel.shape[-1])
    outputs = Described((), dtype if preferred is None else preferred, False)
    total = kernels.sum_dtype(outputs, bias, preferred_element_type)
    return Convolution(windows, mode, problem, flip, dtype, total, algorithm)


def takes(problem: ConvProblem, inputs: Typed, kernel: Typed, algorithm: object) -> None:
    """Refuses an algorithm that is unknown, or cannot take such arrays."""
    name = options.choice("algorithm", algorithm, ("auto", *choose.CONV_ALGORITHMS))
    choose.refuse_unsupported(inputs, like(kernel, dtype=inputs.dtype), problem, name)
