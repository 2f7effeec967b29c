"""XLA's own convolution: the one place that asks for it, on a CPU never with a negative padding.

Under JAX 0.10 XLA's fast path on a CPU reads memory that is not its own where one side of an axis
is cropped and the other padded, such as by (-2, 1): NaN, or numbers up to 1e38. JAX makes negative
amounts itself, as soon as it transposes a convolution that pads by more than e - 1, or whose
strides leave pixels unread. `geometry.fitting` gives the amounts from which it never does.

A GPU and a TPU get the amounts as they are asked for, for cuDNN takes equal ones alone: fitted
from (1, 1) to (1, 0), the input is padded in a pass of its own. Compiled for an H100, float32,
forward and backward: 3x3 with strides 2, 64 to 128 channels, fitted 6 kernels and 113 MB, as asked
5 and 78; one tap with strides 2 7 and 105, 5 and 59.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType
from jaxtyping import Array, Shaped

from jaxcnn.geometry import Pairs, Size, are_known
from jaxcnn.geometry.fitting import Fitted, fitted
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.derived import product_series
from jaxcnn.lowering.per_platform import OTHER, PerPlatform
from jaxcnn.lowering.problem import Typed


def convolve(
    inputs: Shaped[Array, "..."],
    kernel: Shaped[Array, "..."],
    strides: tuple[int, ...],
    padding: Pairs,
    *,
    input_dilation: tuple[int, ...] | None = None,
    kernel_dilation: tuple[int, ...],
    numbers: lax.ConvDimensionNumbers | tuple[str, str, str],
    **options: Any,
) -> Shaped[Array, "..."]:
    """Computes `lax.conv_general_dilated`; on a CPU of what is read of both arrays, nothing else.

    What is not read is cut off there by `lax.slice`; XLA may take a negative `lax.pad` back into
    the convolution. It would take a positive one back too, but for the barrier.

    On a CPU a dilated input is dilated first, behind a barrier. Given to XLA as `lhs_dilation`, it
    aborts the process for some small inputs, in the convolution or in the gradient for the kernel:
    inputs (2, 3, 1, 1) dilated by 2, kernel (2, 2, 1, 2), padding ((0, 0), (2, 2)) (XLA of JAX
    0.10.2 and 0.12: a check fails where the algebraic simplifier exchanges the operands).

    Args:
      inputs: with axes as the first of `numbers` says.
      kernel: as the second.
      strides: per spatial axis, as all that follow.
      padding: (low, high) pairs.
      input_dilation: None for 1.
      kernel_dilation: of the kernel.
      numbers: which axis is what.
      **options: the rest of what `lax.conv_general_dilated` takes.
    """
    plan = _Plan(
        strides=tuple(strides),
        padding=tuple(padding),
        input_dilation=tuple(input_dilation or (1,) * len(strides)),
        kernel_dilation=tuple(kernel_dilation),
        numbers=lax.conv_dimension_numbers(inputs.shape, kernel.shape, numbers),
        # None is left out: NumPy's float64 would equal it.
        options=tuple((name, value) for name, value in options.items() if value is not None),
    )
    undilated = max(plan.input_dilation, default=1) == 1
    if undilated and (plan.fits(inputs, kernel) or not are_known(*inputs.shape)):
        return plan.fitted(inputs, kernel)
    if AxisType.Explicit in jax.typeof(inputs).sharding.mesh.axis_types:
        # the types of the outputs are JAX's own to tell: as on a CPU everywhere
        return plan.dilated(inputs, kernel)
    return by_platform(plan, inputs, kernel)[0]


@dataclasses.dataclass(frozen=True)
class _Plan(PerPlatform):
    """What `convolve` takes beside the arrays."""

    multiplies = True

    strides: tuple[int, ...]
    padding: Pairs
    input_dilation: tuple[int, ...]
    kernel_dilation: tuple[int, ...]
    numbers: lax.ConvDimensionNumbers
    options: tuple[tuple[str, Any], ...]

    of_the_device = True  # it goes around what one compiler does wrong

    def on(self, platform: str) -> Callable[..., list[Array]]:
        forms = {"cpu": self.dilated, OTHER: self.fitted}
        convolved = forms.get(platform, self.as_asked)
        return lambda inputs, kernel: [convolved(inputs, kernel)]

    def outputs(self, operands: Sequence[Typed]) -> list[jax.ShapeDtypeStruct]:
        shapes = (jax.ShapeDtypeStruct(array.shape, array.dtype) for array in operands)
        return [jax.eval_shape(self.fitted, *shapes)]

    def series(self, platform: str, operands: Sequence[Sequence[Array]]) -> list[list[Array]]:
        convolved = self.on(platform)
        return [product_series(lambda x, k: convolved(x, k)[0], *operands)]

    def dilated(self, inputs: Array, kernel: Array) -> Array:
        """The convolution of inputs that are dilated first."""
        rates = self.input_dilation
        inputs = _pad(inputs, self.numbers.lhs_spec[2:], [(0, 0, rate - 1) for rate in rates])
        return dataclasses.replace(self, input_dilation=(1,) * len(rates)).fitted(inputs, kernel)

    def fitted(self, inputs: Array, kernel: Array) -> Array:
        """The convolution of what is read of both arrays."""
        spatial, fits = self.numbers.lhs_spec[2:], self._fits(inputs, kernel)
        kernel = _crop(kernel, self.numbers.rhs_spec[2:], [fit.taps for fit in fits])
        inputs = _pad(inputs, spatial, [(0, 0, fit.rate - 1) for fit in fits])
        inputs = _crop(inputs, spatial, [fit.crop for fit in fits])
        inputs = _pad(inputs, spatial, [(*fit.extra, 0) for fit in fits])
        padding, rates = [fit.padding for fit in fits], [fit.dilation for fit in fits]
        return self._convolved(inputs, kernel, padding, rates)

    def as_asked(self, inputs: Array, kernel: Array) -> Array:
        """The convolution by the amounts as they are, those that crop pixels applied beforehand."""
        amounts = [
            (*pair, rate) for pair, rate in zip(self.padding, self.input_dilation, strict=True)
        ]
        crops = [(max(-a, 0), max(-b, 0)) if r == 1 else (0, 0) for a, b, r in amounts]
        inputs = _crop(inputs, self.numbers.lhs_spec[2:], crops)
        padding = [(a + c, b + d) for (a, b, _), (c, d) in zip(amounts, crops, strict=True)]
        return self._convolved(inputs, kernel, padding, self.input_dilation)

    def _convolved(
        self,
        inputs: Array,
        kernel: Array,
        padding: Sequence[tuple[Size, Size]],
        input_dilation: Sequence[int],
    ) -> Array:
        return lax.conv_general_dilated(
            inputs,
            kernel,
            self.strides,
            padding,
            lhs_dilation=input_dilation,
            rhs_dilation=self.kernel_dilation,
            dimension_numbers=self.numbers,
            **dict(self.options),
        )

    def fits(self, inputs: Array, kernel: Array) -> bool:
        """Whether all of both arrays is read, and JAX's transposes crop nothing."""
        return all(
            fit == Fitted((0, 0), 1, (0, 0), (0, 0), pair, rate)
            for fit, pair, rate in zip(
                self._fits(inputs, kernel), self.padding, self.input_dilation, strict=True
            )
        )

    def _fits(self, inputs: Array, kernel: Array) -> list[Fitted]:
        return [
            fitted(
                inputs.shape[axis],
                kernel.shape[kernel_axis],
                stride=stride,
                padding=pair,
                dilation=dilation,
                input_dilation=rate,
            )
            for axis, kernel_axis, stride, pair, dilation, rate in zip(
                self.numbers.lhs_spec[2:],
                self.numbers.rhs_spec[2:],
                self.strides,
                self.padding,
                self.kernel_dilation,
                self.input_dilation,
                strict=True,
            )
        ]


def _crop(values: Array, axes: Sequence[int], amounts: list[tuple[Size, Size]]) -> Array:
    """Cuts (low, high) entries off each of some axes, or all that there are."""
    if not any(map(any, amounts)):
        return values
    starts, ends = [0] * values.ndim, list(values.shape)
    for axis, (low, high) in zip(axes, amounts, strict=True):
        starts[axis], ends[axis] = low, max(ends[axis] - high, low)
    return lax.slice(values, starts, ends)


def _pad(inputs: Array, axes: Sequence[int], amounts: list[tuple[Size, Size, int]]) -> Array:
    """Adds zeros along some axes, (low, high, between), kept apart from what reads them."""
    if not any(map(any, amounts)):
        return inputs
    config = [(0, 0, 0)] * inputs.ndim
    for axis, zeros in zip(axes, amounts, strict=True):
        config[axis] = zeros
    return lax.optimization_barrier(lax.pad(inputs, jnp.zeros((), inputs.dtype), config))
