"""Upsampling by copies or by linear interpolation, axis by axis, pixels taken as unit squares.

Output pixel i of m has its centre at u = (i + 1/2)*n/m - 1/2 in the coordinates of the n input
pixels, and the ends go on as they are. Where n divides m, position and weights of i depend on i
modulo m/n alone, and slices do: their transposes are slices too. Other ratios gather.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Num

from jaxcnn.geometry import Size
from jaxcnn.lowering import halo
from jaxcnn.lowering.take import take_in_order


def resize(
    inputs: Num[Array, "n *spatial channels"], resized_shape: tuple[Size, ...], method: str
) -> Num[Array, "n *resized channels"]:
    """Upsamples every spatial axis to its entry of `resized_shape`, by "nearest" or "linear".

    16-bit floats are interpolated in float32 and rounded once.
    """

    def resized(inputs: Array) -> Array:
        return _resize(inputs, resized_shape, method)

    return halo.apart(resized, ("inputs",), {"inputs": inputs})


def _resize(inputs: Array, resized_shape: tuple[Size, ...], method: str) -> Array:
    dtype = inputs.dtype
    if method == "linear" and jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4:
        inputs = inputs.astype(jnp.float32)
    outputs = inputs
    for axis, size in enumerate(resized_shape, start=1):
        if size != outputs.shape[axis]:
            outputs = _AXIS[method](outputs, axis, size)
    return outputs.astype(dtype)


def _nearest(inputs: Array, axis: int, size: Size) -> Array:
    """Copies the input pixel on which each output pixel's centre lies."""
    n = inputs.shape[axis]
    if size % n == 0:
        return _side_by_side([inputs] * (size // n), axis)
    return take_in_order(inputs, [(2 * i + 1) * n // (2 * size) for i in range(size)], axis)


def _linear(inputs: Array, axis: int, size: Size) -> Array:
    """Weighs the two input pixels between which each output pixel's centre lies."""
    n = inputs.shape[axis]
    first, last = (lax.slice_in_dim(inputs, i, i + 1, axis=axis) for i in (0, n - 1))
    padded = lax.concatenate([first, inputs, last], axis)
    # u = lower + fraction / (2*size), in whole numbers; the padding moves `lower` on by one
    whole = size % n == 0
    pixels, phases = (1, size // n) if whole else (n, size)  # n need not be known for the former
    lower, fraction = np.divmod((2 * np.arange(phases) + 1) * pixels - phases, 2 * phases)
    weights = fraction / (2 * phases)
    if whole:
        parts = []
        for start, weight in zip((lower + 1).tolist(), weights.tolist(), strict=True):
            left, right = (
                lax.slice_in_dim(padded, start + i, start + i + n, axis=axis) for i in (0, 1)
            )
            parts.append((1 - weight) * left + weight * right if weight else left)
        return _side_by_side(parts, axis)
    left, right = (take_in_order(padded, (lower + 1 + i).tolist(), axis) for i in (0, 1))
    shape = [1] * inputs.ndim
    shape[axis] = size
    weight = jnp.asarray(weights, inputs.dtype).reshape(shape)
    mixed = (1 - weight) * left + weight * right
    if weights.all():
        return mixed
    # Where a centre lies on a pixel, 0 times the next one would be NaN if that is no number.
    return jnp.where(np.reshape(weights, shape) == 0, left, mixed)


def _side_by_side(parts: list[Array], axis: int) -> Array:
    """Interleaves along `axis`: pixel j of part f goes to j*len(parts) + f."""
    stacked = jnp.stack(parts, axis + 1)
    shape = list(parts[0].shape)
    shape[axis] *= len(parts)
    return stacked.reshape(shape)


_AXIS = {"nearest": _nearest, "linear": _linear}
METHODS = tuple(_AXIS)
