"""A binomial filter: shifted slices, axis after axis or all at once, or a convolution."""

import dataclasses
import functools
import math
import operator
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Inexact

from jaxcnn import geometry
from jaxcnn.geometry import Windows
from jaxcnn.lowering import conv_direct, halo, slices
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.choices import blur_choice
from jaxcnn.lowering.per_platform import PerPlatform
from jaxcnn.lowering.problem import ConvProblem, Typed, one_a_window
from jaxcnn.lowering.unknown import spare_no_window


@halo.by_rows()
@spare_no_window
def blur(
    inputs: Inexact[Array, "n *padded channels"], windows: Windows
) -> Inexact[Array, "n *out channels"]:
    """Filters an input that is padded already with the binomial coefficients along each axis."""
    return by_platform(_Blurred(windows), inputs)[0]


@dataclasses.dataclass(frozen=True)
class _Blurred(PerPlatform):
    windows: Windows

    def on(self, platform: str) -> Callable[..., list[Array]]:
        filtered = BLUR_ALGORITHMS[blur_choice(platform, self.windows).algorithm]
        return lambda inputs: [filtered(inputs, self.windows)]

    def outputs(self, operands: Sequence[Typed]) -> list[jax.ShapeDtypeStruct]:
        return [one_a_window(operands[0], self.windows)]


def by_axes(inputs: Array, windows: Windows) -> Array:
    """One axis after the other.

    Coefficients that are equal, the first and the last and so on, share one product.
    """
    values = inputs if windows.known else slices.pad_for_windows(inputs, windows, 0)
    for axis in reversed(range(windows.rank)):
        last = windows.window_shape[axis] - 1
        if axis < windows.rank - 1:
            # Otherwise XLA would fuse both axes, and compute the first sum once for every tap of
            # the second.
            values = lax.optimization_barrier(values)
        terms = []
        for tap in range(last // 2 + 1):
            pair = slices.axis_slice(values, windows, axis, tap)
            if tap != last - tap:
                pair = pair + slices.axis_slice(values, windows, axis, last - tap)
            coefficient = math.comb(last, tap) / 2**last
            terms.append(pair * jnp.asarray(coefficient, values.dtype))
        values = sum(terms[1:], terms[0])
    return values


def by_taps(inputs: Array, windows: Windows) -> Array:
    """All taps at once.

    Predicted: one kernel forward and one backward. Compiled for an H100, 3x3 with stride 2 over
    32x32x32x64: 2 kernels, 21 MB, the least; axis after axis 8, 112; a depthwise convolution of
    lax's 5, 40.
    """
    padded = inputs if windows.known else slices.pad_for_windows(inputs, windows, 0)
    ends = [size - 1 for size in windows.window_shape]
    terms = []
    for tap, pixels in slices.tap_slices(padded, windows):
        coefficient = math.prod(map(math.comb, ends, tap)) / 2 ** sum(ends)
        terms.append(pixels * jnp.asarray(coefficient, pixels.dtype))
    return functools.reduce(operator.add, terms)


def by_channel(inputs: Array, windows: Windows) -> Array:
    """A depthwise convolution, in full precision, for which a TPU takes no longer: see `choices`.

    For windows of known sizes. Complex inputs, which few platforms convolve, go axis after axis.
    """
    if jnp.issubdtype(inputs.dtype, jnp.complexfloating):
        return by_axes(inputs, windows)
    channels, weights = inputs.shape[-1], np.ones(())
    for size in windows.window_shape:
        along = [math.comb(size - 1, tap) / 2 ** (size - 1) for tap in range(size)]
        weights = np.multiply.outer(weights, along)
    kernel = jnp.asarray(weights, inputs.dtype)[..., None, None]
    kernel = jnp.broadcast_to(kernel, (*windows.window_shape, 1, channels))
    padded = geometry.windows(
        inputs.shape[1:-1], windows.window_shape, strides=windows.strides, padding="VALID"
    )
    return conv_direct.conv(
        inputs, kernel, ConvProblem(padded, channels, precision=lax.Precision.HIGHEST)
    )


BLUR_ALGORITHMS = {"axes": by_axes, "taps": by_taps, "depthwise": by_channel}
