"""The best sum of pixel and structuring element in each window, tap by tap.

    max_plus(x, k)[i, c] = max over a of x[i*s + a*d, c] + k[a, c]
    min_minus(x, k)[i, c] = min over a of x[i*s + a*d, c] - k[a, c]

A chain of selects carries the best sum so far and the tap it came from. Taps in the padding never
take part, so that no fill can win, whatever the values. The tangent is stated: that of the winning
tap's sum. It is linear in the tangents of both arguments, a sum of selected slices, and JAX's
transpose of it scatters nothing.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Num

from jaxcnn.geometry import Windows
from jaxcnn.lowering import halo, slices
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.choices import element_sum_choice
from jaxcnn.lowering.dtypes import extreme, widen
from jaxcnn.lowering.per_platform import PerPlatform
from jaxcnn.lowering.problem import Typed
from jaxcnn.lowering.unknown import spare_no_window

Inputs = Num[Array, "n *spatial channels"]
Kernel = Num[Array, "*kernel_size channels"]
Outputs = Num[Array, "n *out channels"]
Real = Bool[Array, " rows"] | None


@halo.by_rows()
@spare_no_window
def best_sum(
    inputs: Inputs, kernel: Kernel, windows: Windows, minimum: bool, real: Real = None
) -> Outputs:
    """Returns `max_plus`, or `min_minus` if `minimum`; integers saturate.

    Of equal sums the first in row-major order of the taps wins; the first NaN wins over all. `real`
    says which rows are pixels, where some only stand for padding; None for all.
    """
    return _differentiable(inputs, kernel, real, windows, minimum)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3, 4))
def _differentiable(
    inputs: Inputs, kernel: Kernel, real: Real, windows: Windows, minimum: bool
) -> Outputs:
    return _best_and_winner(inputs, kernel, real, windows, minimum)[0]


@_differentiable.defjvp
def _tangent(windows: Windows, minimum: bool, primals, tangents) -> tuple[Outputs, Outputs]:
    """Takes, in each window, the tangent of the winning sum: x'[i*s + a*d, c] +- k'[a, c].

    The sums of the transpose run in float32 for 16-bit floats, hence the tangents are widened.
    """
    inputs, kernel, real = primals
    _, winner = _best_and_winner(
        lax.stop_gradient(inputs), lax.stop_gradient(kernel), real, windows, minimum
    )
    outputs = _differentiable(inputs, kernel, real, windows, minimum)
    # jax.jvp hands on the tangents that it was given, which may be NumPy's
    inputs_dot, kernel_dot = (widen(jnp.asarray(tangent)) for tangent in tangents[:2])
    kernel_dot = -kernel_dot if minimum else kernel_dot
    (outputs_dot,) = by_platform(_AtWinners(windows), inputs_dot, kernel_dot, winner)
    return outputs, outputs_dot.astype(outputs.dtype)


@dataclasses.dataclass(frozen=True)
class _AtWinners(PerPlatform):
    """The tangents of the winning sums, from those of pixels and structuring element."""

    windows: Windows

    def on(self, platform: str) -> Callable[..., list[Array]]:
        at_winners = ELEMENT_SUMS[element_sum_choice(platform).algorithm]

        def compute(inputs_dot: Array, kernel_dot: Array, winner: Array) -> list[Array]:
            return [at_winners(inputs_dot, kernel_dot, winner, self.windows)]

        return compute

    def outputs(self, operands: Sequence[Typed]) -> list[jax.ShapeDtypeStruct]:
        inputs_dot, _, winner = operands
        return [jax.ShapeDtypeStruct(winner.shape, inputs_dot.dtype)]


def _tap_by_tap(inputs_dot: Inputs, kernel_dot: Kernel, winner: Array, windows: Windows) -> Outputs:
    """Selects what each tap adds; the transpose is a sum for each tap of the element.

    Every tap of the transpose reads the winners. Behind the barrier they are computed once, not
    once a tap: a gradient of 3x3 taps over 16x32x32x32 takes 7 ms and not 330 (CPU, JAX 0.12; JAX
    0.10 fuses across barriers on CPU and gains nothing).
    """
    winner = lax.optimization_barrier(winner)
    padded = slices.pad_for_windows(inputs_dot, windows, 0)
    outputs_dot = jnp.zeros(winner.shape, padded.dtype)
    for position, (tap, pixels) in enumerate(slices.tap_slices(padded, windows)):
        moved = pixels + _beside(kernel_dot[tap], pixels)
        outputs_dot += jnp.where(winner == position, moved, jnp.zeros_like(moved))
    return outputs_dot


def _together(inputs_dot: Inputs, kernel_dot: Kernel, winner: Array, windows: Windows) -> Outputs:
    """Adds what the winners take from the element to what they take from the pixels.

    The transpose of each is one kernel on a GPU. The element's sums are one reduction for all taps,
    which the barrier parts in two, over the pixels of an image and over images: as a whole XLA
    transposes what it reads first. Compiled for an H100, 3x3 over 16 images of 32x32x32, forward
    and backward: 4 kernels, 11 MB, 8 the least; undivided 4, 15; tap by tap 17, 21; lax 10, 109.
    """
    padded = slices.pad_for_windows(inputs_dot, windows, 0)
    moved = jnp.zeros(winner.shape, padded.dtype)
    for position, (_, pixels) in enumerate(slices.tap_slices(padded, windows)):
        moved += jnp.where(winner == position, pixels, jnp.zeros_like(pixels))
    images, channels, taps = winner.shape[0], winner.shape[-1], math.prod(windows.window_shape)
    each = jnp.broadcast_to(kernel_dot.reshape((1, taps, channels)), (images, taps, channels))
    each = lax.optimization_barrier(each)
    each = each.reshape((images, taps, *(1,) * windows.rank, channels))
    position = lax.iota(winner.dtype, taps).reshape((1, taps, *(1,) * (windows.rank + 1)))
    wins = jnp.expand_dims(winner, 1) == position
    return moved + jnp.sum(jnp.where(wins, each, jnp.zeros((), each.dtype)), 1)


ELEMENT_SUMS = {"taps": _tap_by_tap, "together": _together}


def _best_and_winner(
    inputs: Inputs, kernel: Kernel, real: Real, windows: Windows, minimum: bool
) -> tuple[Outputs, Num[Array, "n *out channels"]]:
    """Returns the best sum of each window and the row-major position of its tap.

    The chain starts from the worst value there is, ascribed to the first tap on the input: if all
    sums are as bad as that, none replaces it, and it is right.
    """
    combine, beaten = (_minus, lax.ge) if minimum else (_plus, lax.le)
    shape = (inputs.shape[0], *windows.output_shape, inputs.shape[-1])
    index_dtype = np.dtype(np.min_scalar_type(-math.prod(windows.window_shape)))
    best = jnp.full(shape, extreme(inputs.dtype, lowest=not minimum), inputs.dtype)
    winner = jnp.broadcast_to(slices.first_tap(windows, index_dtype, real), shape)
    padded = slices.pad_for_windows(inputs, windows, 0)
    for position, (tap, pixels) in enumerate(slices.tap_slices(padded, windows)):
        value = combine(pixels, _beside(kernel[tap], pixels))
        # A comparison with NaN is false: a NaN is not beaten, and once best, replaced by nothing.
        take = ~beaten(value, best) & (best == best)
        mask = slices.tap_mask(windows, tap, real)
        take = take if mask is None else take & mask
        best = jnp.where(take, value, best)
        winner = jnp.where(take, jnp.asarray(position, index_dtype), winner)
    return best, winner


def _beside(entry: Num[Array, " channels"], pixels: Outputs) -> Outputs:
    """Repeats one tap's entry of the structuring element beside each pixel that the tap meets."""
    return jnp.broadcast_to(entry.reshape((1,) * (pixels.ndim - 1) + entry.shape), pixels.shape)


def _plus(a: Array, b: Array) -> Array:
    """a + b, for integers the nearest value that the dtype holds."""
    total = a + b
    if jnp.issubdtype(a.dtype, jnp.floating):
        return total
    low, high = extreme(a.dtype, lowest=True), extreme(a.dtype, lowest=False)
    if jnp.issubdtype(a.dtype, jnp.unsignedinteger):
        return jnp.where(total < a, high, total)
    # A signed sum has wrapped where its sign differs from that of both terms.
    wrapped = ((a ^ total) & (b ^ total)) < 0
    return jnp.where(wrapped, jnp.where(a < 0, low, high), total)


def _minus(a: Array, b: Array) -> Array:
    """a - b, for integers the nearest value that the dtype holds."""
    total = a - b
    if jnp.issubdtype(a.dtype, jnp.floating):
        return total
    low, high = extreme(a.dtype, lowest=True), extreme(a.dtype, lowest=False)
    if jnp.issubdtype(a.dtype, jnp.unsignedinteger):
        return jnp.where(a < b, low, total)
    wrapped = ((a ^ b) & (a ^ total)) < 0
    return jnp.where(wrapped, jnp.where(a < 0, low, high), total)
