"""What every function that convolves with a shared kernel does once its kernel has that form."""

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Num

from jaxcnn import geometry
from jaxcnn.functional import _arguments, _dtypes, _kernels
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering import choose
from jaxcnn.lowering.problem import ConvProblem, Precision


def convolve(
    function: str,
    inputs: Num[Array, "*batch_and_spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    bias: Num[Array, " out_features"] | None,
    *,
    strides: IntPerAxis,
    padding: Padding,
    padding_mode: str,
    input_dilation: IntPerAxis,
    kernel_dilation: IntPerAxis,
    feature_group_count: int,
    flip_kernel: bool,
    precision: Precision,
    preferred_element_type: DTypeLike | None,
    algorithm: str,
    kernel_argument: str = "kernel",
) -> Num[Array, "*batch_and_out out_features"]:
    """Checks the arguments of `conv` in the name of `function` and computes it.

    `kernel_argument` is what that function calls `kernel`.
    """
    rank = kernel.ndim - 2
    batch, sizes, _ = _arguments.spatial_batch(
        function, inputs, rank, because=f"the kernel {kernel.shape} has {rank}"
    )
    groups = _kernels.channel_groups(function, inputs, kernel, feature_group_count)
    kernel_size = _kernels.kernel_sizes(function, kernel)
    dilation = geometry.per_axis(function, "kernel_dilation", kernel_dilation, rank)
    padding, padding_mode = geometry.fill_and_amounts(
        function, padding, padding_mode, kernel_size, dilation
    )
    windows = geometry.windows(
        function,
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
    if _arguments.flag(function, "flip_kernel", flip_kernel):
        kernel = jnp.flip(kernel, range(rank))
    inputs, kernel, preferred = _dtypes.product_dtypes(
        function, inputs, kernel, preferred_element_type, kernel_argument
    )
    flat = _arguments.flatten_batch(inputs, rank)
    if padding_mode != "zeros":
        flat = _arguments.dilate_spatial(flat, windows.input_dilation)
        flat = _arguments.pad_spatial(function, flat, windows.padding, padding_mode)
        windows = windows.padded()
    problem = ConvProblem(
        windows, groups, _dtypes.product_precision(function, precision), preferred
    )
    _arguments.choice(function, "algorithm", algorithm, ("auto", *choose.CONV_ALGORITHMS))
    outputs = choose.conv(function, flat, kernel, problem, algorithm)
    outputs = _arguments.restore_batch(outputs, batch)
    return _kernels.add_bias(function, outputs, bias, preferred_element_type)
