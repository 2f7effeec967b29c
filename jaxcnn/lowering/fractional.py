"""Max pooling over windows whose starts are drawn anew for every image and channel.

The starts are data, yet nearly known: with n - k = alpha*(m - 1), window i starts at

    floor((i + u)*alpha) - floor(u*alpha) = floor(i*alpha), or one more,

whatever u in [0, 1). So the taps at both places are taken at positions known before tracing, and a
select between neighbouring taps shifts a window: no index depends on data, and the transpose adds
up nothing at indices that might collide. As everywhere, one axis after the other, the last first.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int32, Num

from jaxcnn import geometry
from jaxcnn.lowering.barrier import once_on_cpu
from jaxcnn.lowering.dtypes import widen
from jaxcnn.lowering.first_max import first_of, pick, winner_of
from jaxcnn.lowering.take import take_in_order

Inputs = Num[Array, "*batch_and_spatial channels"]
Outputs = Num[Array, "*batch_and_out channels"]
Samples = Float[Array, "*batch channels d"]
Shape = tuple[int, ...]


def maximum(inputs: Inputs, samples: Samples, window_shape: Shape, output_shape: Shape) -> Outputs:
    """The maximum of each window."""
    outputs = widen(inputs)
    for axis in reversed(range(len(window_shape))):
        (taps,) = _taps((outputs,), samples, axis, window_shape, output_shape)
        outputs = first_of(taps)
    return outputs.astype(inputs.dtype)


def maximum_with_indices(
    inputs: Inputs, samples: Samples, window_shape: Shape, output_shape: Shape
) -> tuple[Outputs, Int32[Array, "*batch_and_out channels"]]:
    """The maximum of each window and its row-major position in the spatial plane."""
    sizes = inputs.shape[samples.ndim - 2 : -1]
    outputs, indices = widen(inputs), lax.iota(jnp.int32, math.prod(sizes))
    indices = jnp.broadcast_to(indices.reshape((*sizes, 1)), inputs.shape)
    for axis in reversed(range(len(window_shape))):
        taps, places = _taps((outputs, indices), samples, axis, window_shape, output_shape)
        indices = pick(places, winner_of(taps))
        outputs = first_of(taps)
    return outputs.astype(inputs.dtype), indices


def _taps(
    arrays: tuple[Array, ...],
    samples: Samples,
    axis: int,
    window_shape: Shape,
    output_shape: Shape,
) -> list[list[Array]]:
    """For each array, what each tap meets along one axis in every window."""
    rank = len(window_shape)
    place, k, count = samples.ndim - 2 + axis, window_shape[axis], output_shape[axis]
    size = arrays[0].shape[place]
    starts = geometry.fractional_starts(size, k, count)
    later = _starts_later(samples[..., axis], starts)
    if later is not None:
        later = later.reshape(
            (*samples.shape[:-2], *(1,) * axis, count, *(1,) * (rank - axis - 1), samples.shape[-2])
        )
    laid = []
    for values in arrays:
        # The last window never starts later, but the slice one further on has a pixel for it too.
        config = [(0, int(i == place), 0) for i in range(values.ndim)]
        # All taps read it.
        padded = once_on_cpu(lax.pad(values, jnp.zeros((), values.dtype), config))
        taps = [
            take_in_order(padded, [start + tap for start in starts], place)
            for tap in range(k if later is None else k + 1)
        ]
        if later is not None:
            taps = [jnp.where(later, taps[tap + 1], taps[tap]) for tap in range(k)]
        laid.append(taps)
    return laid


def _starts_later(
    samples: Float[Array, "*batch channels"], starts: tuple[int, ...]
) -> Bool[Array, "*batch out channels"] | None:
    """Whether each window starts one pixel after its place in `starts`; None if none ever does."""
    count, room = len(starts), starts[-1]
    if count == 1 or room % (count - 1) == 0:
        return None
    scalar = samples.dtype.type
    alpha = scalar(room) / scalar(count - 1)
    u = jnp.expand_dims(samples, -2)
    i = np.arange(count, dtype=samples.dtype)[:, None].reshape((1,) * (u.ndim - 2) + (count, 1))
    drawn = jnp.floor((i + u) * alpha) - jnp.floor(u * alpha)
    earliest = np.array([*starts[:-1], count * room], samples.dtype).reshape(i.shape)
    return drawn > earliest
