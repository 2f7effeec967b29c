"""Depthwise convolution as a sum of shifted products, its kernel's gradient by rows.

Where every channel has its own taps there is no matrix product in a convolution:

    out[n, i, c] = sum over a of x[n, i*s + a*d, c] * kernel[a, c]

is, for each tap a, one slice of the padded input times one vector, and XLA fuses all of them into a
single pass over memory (`apart` keeps it one). The transpose towards the inputs, as JAX derives it,
is a sum of pads, of which a CPU runs many slowly: above `PAD_TAPS` taps it is the same sum of
slices, of the cotangent, with the kernel reversed. That towards the kernel would be a reduction of
its own for each tap: it is stated in `kernel_by_rows`.

Measured on two busy cores, float32, JAX 0.10.2, 3x3 with 128 channels on 32 images of 32x32,
forward and backward: 198 ms with the transposes of the plain sum, 39 ms with a scan over rows, tap
by tap, for the kernel; XLA's own grouped convolution took above 3 s. Predicted of slices in place
of pads was a gain with many taps and none with few. CPU ms of the gradient for the inputs by pads /
by slices, median of eleven by turns: 7x7, 96 channels, 8 images of 56x56 57 / 11; 3x3x3, 32
channels, 4 of 8x16x16 2.7 / 0.5; 5x5 dilated by 2, 32 channels, 8 of 28x28 1.9 / 0.6; but the 3x3
above 4.3 / 17, and 7 taps, 64 channels, 16 of 1024 pixels 0.44 / 0.61. The whole, as it was with
pads and a scan tap by tap / as it is: that 7x7 130 / 38, that 3x3 56 / 23 (0.12: 49 / 28), and to
compile 2.2 / 0.6 and 0.9 / 0.3 s.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Num

from jaxcnn.geometry import Windows
from jaxcnn.lowering import kernel_by_rows, slices
from jaxcnn.lowering.bilinear import Bilinear
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.dtypes import sum_dtype
from jaxcnn.lowering.problem import ConvProblem, Typed

PAD_TAPS = 9  # up to so many, JAX's own transpose, a sum of pads, is as fast as slices


def unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem) -> str | None:
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
    out_dtype = jnp.dtype(problem.preferred_element_type or inputs.dtype)
    wide = sum_dtype(out_dtype)
    inputs, kernel = inputs.astype(wide), kernel.astype(wide)
    multiplier = kernel.shape[-1] // inputs.shape[-1]
    if multiplier > 1:
        inputs = jnp.repeat(inputs, multiplier, axis=-1)
    if jnp.issubdtype(wide, jnp.inexact):
        (outputs,) = by_platform(_Shift(problem.windows), inputs, kernel[..., 0, :])
    else:
        outputs = _shifted_products(inputs, kernel[..., 0, :], problem.windows)
    return outputs.astype(out_dtype)


@functools.partial(jax.jit, static_argnums=2)
def _shifted_products(
    inputs: Num[Array, "n *spatial channels"],
    kernel: Num[Array, "*kernel_size channels"],
    windows: Windows,
) -> Num[Array, "n *out channels"]:
    """Adds up, tap by tap, what the tap meets in all windows times its vector."""
    padded = slices.pad_for_windows(inputs, windows, 0)
    channels = kernel.shape[-1]
    weights = kernel.reshape((-1, channels))
    terms = []
    for place, (_, pixels) in enumerate(slices.tap_slices(padded, windows)):
        weight = lax.slice(weights, (place, 0), (place + 1, channels))
        weight = lax.broadcast_in_dim(weight, pixels.shape, (0, inputs.ndim - 1))
        terms.append(lax.mul(pixels, weight))
    return functools.reduce(lax.add, terms)


@dataclasses.dataclass(frozen=True)
class _Shift(Bilinear):
    """The convolution of inputs and a kernel `(*kernel_size, channels)`."""

    apart = True

    windows: Windows

    def value(self, first: Array, second: Array) -> Array:
        return _shifted_products(first, second, self.windows)

    def to_first(self, second: Array, cotangent: Array, like: Any) -> Array:
        windows = self._back()
        if windows is None:
            return jax.linear_transpose(lambda x: self.value(x, second), like)(cotangent)[0]
        return _shifted_products(cotangent, lax.rev(second, range(windows.rank)), windows)

    def to_second(self, first: Array, cotangent: Array, like: Any) -> Array:
        if not self.windows.known:
            return jax.linear_transpose(lambda k: self.value(first, k), like)(cotangent)[0]
        padded = slices.pad_for_windows(first, self.windows, 0)
        return kernel_by_rows.kernel_gradient(padded, cotangent, self.windows)

    def _back(self) -> Windows | None:
        """Where the kernel, reversed, lies on the outputs for the inputs' gradient, if it does."""
        windows = self.windows
        if not windows.known or max(*windows.strides, *windows.input_dilation) > 1:
            return None
        if math.prod(windows.window_shape) <= PAD_TAPS:
            return None
        reach = (size - 1 for size in windows.effective_shape)
        return dataclasses.replace(
            windows,
            sizes=windows.output_shape,
            output_shape=windows.sizes,
            padding=tuple(
                (last - low, last - high)
                for last, (low, high) in zip(reach, windows.padding, strict=True)
            ),
        )

    def outputs(self, operands: Sequence[Any]) -> list[jax.ShapeDtypeStruct]:
        first, _ = operands  # as stated: to trace all taps for a shape takes long
        shape = (first.shape[0], *self.windows.output_shape, first.shape[-1])
        return [jax.ShapeDtypeStruct(shape, first.dtype)]
