"""Convolution with a dilated kernel whose gradients have no dilation.

The kernel's gradient is, of all places where a kernel without gaps would lie, that at its taps:

    dk[a] = sum over n, i of x[n, i*s + a*d - p] * dy[n, i] = dspread[a*d]

with dspread the gradient of the kernel spread out, zeros between its taps. XLA's GPU compiler gives
that to cuDNN as a kernel's gradient. The one of a dilated kernel it makes an ordinary convolution,
by a kernel of the size of an image, of x and dy with the images for channels, both copied into that
order first. The inputs' gradient is XLA's own: by a spread kernel 0 * NaN would bring NaN from a
cotangent to pixels between its taps.

That makes products at e^2 places in place of k^2 taps. Where they cost more than the copies, pixels
are parted into the d^2 phases that do not meet, and those are images, at the price of the copies:
x[d*(j + a) + f - p] and dy[d*j + f] for each f. By an H100's bandwidth and peak, for 3x3 dilated by
2 with 64 channels the products cost 11 us and the copies 14; with 128, 43 and 24.

Compiled for an H100, float32, forward and backward, 3x3, 64 channels: dilated by 2 on 32 images of
32x32, 8 kernels and 85 MB as XLA's own, 6 and 52 so; dilated by 8 on 8 images, 8 and 22 as XLA's
own and by phases; spread it were 6 and 19, and 32 times the products.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Num

from jaxcnn.lowering import conv_direct
from jaxcnn.lowering.bilinear import Bilinear
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.problem import ConvProblem, Typed, other_dtypes, sizes_unknown

SPREAD = 600  # products made at places without a tap, for each channel read: up to so many


def unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem."""
    windows = problem.windows
    if max(windows.dilation) == 1:
        return "needs a kernel dilation above 1"
    if max(windows.input_dilation) > 1:
        return f"takes no input dilation, not {windows.input_dilation}"
    return sizes_unknown(windows) or other_dtypes(inputs, problem)


def conv(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
) -> Num[Array, "n *out out_features"]:
    """Cross-correlates as `conv_direct.conv` does; the difference is in the gradients."""
    return by_platform(_Spread(problem), inputs, kernel)[0]


@dataclasses.dataclass(frozen=True)
class _Spread(Bilinear):
    """The convolution of inputs and kernel."""

    problem: ConvProblem

    def value(self, first: Array, second: Array) -> Array:
        return conv_direct.conv(first, second, self.problem)

    def to_first(self, second: Array, cotangent: Array, like: Any) -> Array:
        return jax.linear_transpose(lambda x: self.value(x, second), like)(cotangent)[0]

    def to_second(self, first: Array, cotangent: Array, like: Any) -> Array:
        return kernel_gradient(self.problem, first, cotangent, like)


def kernel_gradient(problem: ConvProblem, inputs: Array, cotangent: Array, kernel: Any) -> Array:
    """The gradient of a kernel like `kernel`."""
    convolve, rates = conv_direct.conv, problem.windows.dilation
    if _spread_pays(problem, kernel):
        convolve = _spread
    elif (phases := _of_phases(problem)) is not None:
        problem, inputs, cotangent = phases, _images(inputs, rates), _images(cotangent, rates)
    return jax.linear_transpose(lambda k: convolve(inputs, k, problem), kernel)(cotangent)[0]


def _spread_pays(problem: ConvProblem, kernel: Any) -> bool:
    """Whether the products where no tap is cost less than copies of both arrays."""
    windows, (per_group, features) = problem.windows, kernel.shape[-2:]
    gaps = math.prod(windows.effective_shape) - math.prod(windows.window_shape)
    channels = per_group * problem.feature_group_count + features
    return gaps * per_group * features <= SPREAD * channels


def _spread(inputs: Array, kernel: Array, problem: ConvProblem) -> Array:
    """The convolution by the kernel with zeros between its taps."""
    windows = problem.windows
    gaps = [(0, 0, d - 1) for d in windows.dilation]
    spread = lax.pad(kernel, jnp.zeros((), kernel.dtype), [*gaps, (0, 0, 0), (0, 0, 0)])
    ones = (1,) * windows.rank
    windows = dataclasses.replace(windows, window_shape=windows.effective_shape, dilation=ones)
    return conv_direct.conv(inputs, spread, dataclasses.replace(problem, windows=windows))


def _of_phases(problem: ConvProblem) -> ConvProblem | None:
    """What each phase is, None where the pixels do not part evenly."""
    windows, dilation = problem.windows, problem.windows.dilation
    amounts = [
        (*pair, size, count)
        for pair, size, count in zip(
            windows.fitted_padding, windows.sizes, windows.output_shape, strict=True
        )
    ]
    uneven = any(a % d for own, d in zip(amounts, dilation, strict=True) for a in own)
    if uneven or max(windows.strides) > 1:
        return None
    low, high, sizes, counts = zip(
        *([a // d for a in own] for own, d in zip(amounts, dilation, strict=True)), strict=True
    )
    undilated = dataclasses.replace(
        windows,
        sizes=sizes,
        padding=tuple(zip(low, high, strict=True)),
        dilation=(1,) * windows.rank,
        output_shape=counts,
    )
    return dataclasses.replace(problem, windows=undilated)


def _images(array: Array, rates: tuple[int, ...]) -> Array:
    """(n, H*r, W*s, c) as (n*r*s, H, W, c): every r-th row and s-th column an image."""
    n, *sizes, channels = array.shape
    rank = len(rates)
    pairs = [part for size, r in zip(sizes, rates, strict=True) for part in (size // r, r)]
    array = array.reshape((n, *pairs, channels))
    order = (0, *range(2, 2 * rank + 1, 2), *range(1, 2 * rank, 2), 2 * rank + 1)
    array = array.transpose(order)
    return array.reshape((n * math.prod(rates), *array.shape[rank + 1 :]))
