"""What every function that convolves with a shared kernel plans, and how that is run."""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Num

from jaxcnn import geometry
from jaxcnn._checks import arrays, dtypes, kernels, options
from jaxcnn._planning.plan import Choice, Described, like, to_run, unless_asked_for
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.lowering import choose, fill
from jaxcnn.lowering.dtypes import on_all_axes
from jaxcnn.lowering.problem import ConvProblem, Precision, Typed


@dataclasses.dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution worked out, which the arrays alone are missing from.

    Attributes:
      windows: where the kernel lies on the inputs.
      fill: what stands in their padding, None for zeros.
      problem: what is computed once that is filled in.
      flip: whether the kernel is reversed first.
      dtype: of inputs and kernel as they are multiplied.
      sum_dtype: of what is returned, with the bias.
      algorithm: "auto", or the one asked for.
    """

    windows: Windows
    fill: str | None
    problem: ConvProblem
    flip: bool
    dtype: Any
    sum_dtype: Any
    algorithm: str

    def run(
        self,
        inputs: Num[Array, "n *spatial in_features"],
        kernel: Num[Array, "*kernel_size group_features out_features"],
        bias: Num[Array, " out_features"] | None = None,
    ) -> Num[Array, "n *out out_features"]:
        """Computes it."""
        if self.flip:
            kernel = jnp.flip(kernel, range(self.windows.rank))
        laid, _ = fill.lay(inputs.astype(self.dtype), self.windows, self.fill)
        outputs = choose.conv(laid, kernel.astype(self.dtype), self.problem, self.algorithm)
        return add_bias(outputs, bias, self.sum_dtype)

    def rows(self) -> list[tuple[str, str]]:
        """What is to be said of it: how it is done, in a few words each."""
        rows = [("windows", str(self.windows)), ("padded with", self.fill or "zeros")]
        if self.problem.feature_group_count > 1:
            rows.append(("groups", str(self.problem.feature_group_count)))
        if self.flip:
            rows.append(("kernel", "reversed"))
        return [*rows, ("multiplied in", str(self.dtype))]

    def choice(self, inputs: Typed, kernel: Typed) -> Choice:
        """What the algorithm is by the platform, for arrays of these shapes."""
        images = math.prod(inputs.shape[: -1 - self.windows.rank])
        laid = (images, *self.problem.windows.sizes, inputs.shape[-1])
        return chosen(self.algorithm, Described(laid, self.dtype, False), kernel, self.problem)


def to_convolve(inputs: Typed, kernel: Typed, convolution: Convolution) -> Any:
    """Says that such a convolution is left to do, of a kernel that is given `kernel`'s shape."""
    return to_run(
        _convolve,
        batch=inputs.ndim - kernel.ndim + 1,
        choice=convolution.choice(inputs, kernel),
        convolution=convolution,
        kernel_shape=kernel.shape,
    )


def _convolve(
    inputs: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    convolution: Convolution,
    kernel_shape: tuple[int, ...],
) -> Array:
    return convolution.run(inputs, kernel.reshape(kernel_shape), bias)


def add_bias(outputs: Array, bias: Array | None, dtype: Any) -> Array:
    """Adds one number per output feature, or none, in the dtype given."""
    outputs = outputs.astype(dtype)
    return outputs if bias is None else outputs + on_all_axes(bias.astype(dtype), outputs)


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


def chosen(algorithm: str, inputs: Typed, kernel: Typed, problem: ConvProblem) -> Choice:
    """What the algorithm is by the platform, and why."""
    return unless_asked_for(
        algorithm, lambda platform: choose.conv_choice(platform, inputs, kernel, problem)
    )
