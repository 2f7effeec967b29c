"""What every function that convolves with a shared kernel leaves to do, and how that is run."""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxcnn._planning.plan import Choice, Described, to_run, unless_asked_for
from jaxcnn.geometry import Windows
from jaxcnn.lowering import choices, choose, fill
from jaxcnn.lowering.dtypes import on_all_axes
from jaxcnn.lowering.problem import ConvProblem, Typed


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
    batch, choice = inputs.ndim - kernel.ndim + 1, convolution.choice(inputs, kernel)
    return to_run(
        _convolve,
        batch=batch,
        choice=choice,
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


def chosen(algorithm: str, inputs: Typed, kernel: Typed, problem: ConvProblem) -> Choice:
    """What the algorithm is by the platform, and why."""
    return unless_asked_for(
        algorithm, lambda platform: choices.conv_choice(platform, inputs, kernel, problem)
    )
