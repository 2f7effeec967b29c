"""One element of each window drawn with probability proportional to its size, or their mean.

Weights are taken relative to the largest of the window, so that no sum over- or underflows. The
draw is a chain over the taps: the running sum of weights passes u times their total at the tap that
is drawn. That tap is an integer; the output selects by it, and so does its transpose.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcnn.geometry import Windows
from jaxcnn.lowering import halo, slices, unknown
from jaxcnn.lowering.dtypes import widen

Inputs = Float[Array, "n *spatial channels"]
Outputs = Float[Array, "n *out channels"]


@halo.by_rows(for_outputs=("samples",))
def drawn(inputs: Inputs, samples: Outputs, windows: Windows) -> Outputs:
    """The element of each window at which the running sum of weights passes samples * total."""
    enough = unknown.with_a_window(windows)
    if enough == windows:
        return _drawn(inputs, samples, windows)
    outputs = _drawn(inputs, unknown.resized(samples, windows, enough), enough)
    return unknown.resized(outputs, enough, windows)


@functools.partial(jax.jit, static_argnames="windows")
def _drawn(inputs: Inputs, samples: Outputs, windows: Windows) -> Outputs:
    padded = slices.pad_for_windows(widen(inputs), windows, 0)
    weight, _ = _weights(lax.stop_gradient(padded), windows)
    total = jnp.zeros(samples.shape, padded.dtype)
    for tap in slices.taps(windows):
        total += weight(tap)
    # Rounded up, the product could reach the total, which no running sum exceeds.
    target = jnp.maximum(samples, 0).astype(total.dtype) * total
    target = jnp.minimum(target, jnp.nextafter(total, 0 * total))
    running, winner = jnp.zeros_like(total), jnp.zeros(total.shape, jnp.int32)
    for tap in slices.taps(windows):
        running += weight(tap)
        winner += (running <= target).astype(jnp.int32)
    outputs = jnp.zeros_like(total)
    for position, (_, pixels) in enumerate(slices.tap_slices(padded, windows)):
        outputs = jnp.where(winner == position, pixels, outputs)
    return outputs.astype(inputs.dtype)


@halo.by_rows()
@unknown.spare_no_window
@functools.partial(jax.jit, static_argnames="windows")
def expected(inputs: Inputs, windows: Windows) -> Outputs:
    """The mean of each window weighted by its elements: sum of w**2 over sum of w."""
    padded = slices.pad_for_windows(widen(inputs), windows, 0)
    _, largest = _weights(lax.stop_gradient(padded), windows)
    # Any constant factor cancels, hence the scale has no gradient.
    scale = jnp.where((largest > 0) & (largest < jnp.inf), largest, jnp.ones_like(largest))
    total, squares = jnp.zeros_like(scale), jnp.zeros_like(scale)
    for _, pixels in slices.tap_slices(padded, windows):
        finite = jnp.where(largest == jnp.inf, jnp.zeros_like(pixels), pixels)
        weight = _positive(finite) / scale
        total, squares = total + weight, squares + weight * weight
    mean = scale * (squares / jnp.where(total == 0, jnp.ones_like(total), total))
    return jnp.where(largest == jnp.inf, largest, mean).astype(inputs.dtype)


def _weights(padded: Inputs, windows: Windows) -> tuple[Callable[[slices.Tap], Outputs], Outputs]:
    """Returns the weight of a tap in each window as a function, and the largest element.

    In a window with infinities or NaN these weigh one and all others nothing.
    """
    largest = functools.reduce(
        jnp.maximum, (_positive(pixels) for _, pixels in slices.tap_slices(padded, windows))
    )
    one, zero = jnp.ones_like(largest), jnp.zeros_like(largest)

    def weight(tap: slices.Tap) -> Outputs:
        pixels = _positive(slices.tap_slice(padded, windows, tap))
        top = (pixels == largest) | (pixels != pixels)
        divisor = jnp.where((largest > 0) & (largest < jnp.inf), largest, one)
        share = jnp.where(divisor == largest, pixels / divisor, zero)
        return jnp.where(top & (largest != 0), one, share)

    return weight, largest


def _positive(values: Array) -> Array:
    """Zero for negative values; NaN stays."""
    return jnp.where(values <= 0, jnp.zeros_like(values), values)
