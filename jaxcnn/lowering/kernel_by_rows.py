"""The gradient for the kernels of many small groups: all taps at once, a few outputs at a time.

    dk[a, c, g, o] = sum over n, i of x[n, i*s + a*d, g, c] * dy[n, i, g, o]

is no product of matrices worth the name where a group has few channels c and features o, and tap by
tap it is a reduction over all axes but the last ones, for which a CPU has no good loop. It is made
in steps. Each takes a stretch of output pixels j, those of some images or some of one row, and adds

    acc[a, c, j, g, o] += x[j*s + a*d, g, c] * dy[j, g, o]

element by element; one small sum over j ends it. `acc` stays in the cache.

Tap b of a stretch of a row begins b*d pixels on, so that the taps along it are that stretch again
and again, b*d on each time. No index says so: w pixels repeated and cut into pieces of w + d,

    x0 x1 x2 x3 | x0 x1 x2 x3 | x0 ...   ->   x0 x1 x2 x3 x0 | x1 x2 x3 x0 x1 | x2 ..    (w=4, d=1)

begin where the taps do. These are a broadcast, a slice and reshapes, which the compiler fuses into
the product as arithmetic of places, and nobody writes them. So a step is one operation however many
taps there are, where slices are one a tap with an accumulator each.

Predicted was a gain for the compiler alone. CPU seconds of compiling the gradient, and CPU ms of a
call, by slices / so, float32, two busy cores, median of nine or more by turns:

                                             JAX 0.10.2                 0.12
    3x3, 128 channels, 32 images of 32x32    0.61/0.22  41  / 30    0.34/0.10  37  / 12
    7x7, 96 channels, 8 images of 56x56      1.51/0.23  35  / 12    0.94/0.11  18  / 10
    7x7, 96 channels, 4 images of 16x16      1.42/0.23   1.6/  0.6  0.72/0.11   1.4/  0.6
    7x7, 768 channels, 4 images of 2x2       1.88/0.22   1.9/  0.6  2.39/0.12   1.6/  0.4
    3x3x3, 32 channels, 4 of 8x16x16         1.47/0.29   4.9/  3.6  1.15/0.16   3.9/  3.6
    7 taps, 64 channels, 16 of 1024 pixels   0.36/0.20   3.1/  2.1

A gather by constant indices took as long as the repeated stretch. Accumulators of 2**14 to 2**16
elements took as long as each other, of 2**17 up to twice as long.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Num

from jaxcnn.geometry import Size, Windows, are_known
from jaxcnn.lowering.dtypes import on_all_axes

MOST = 2**15  # elements of the accumulators, which fit into the cache of a core


def kernel_gradient(
    padded: Num[Array, "n *padded_and_lanes"],
    cotangent: Num[Array, "n *out_and_lanes"],
    windows: Windows,
) -> Num[Array, "*kernel_size_and_lanes"]:
    """The gradient for the kernel from that for the outputs; sizes are known, `n` may not be.

    Args:
      padded: the inputs up to where the last window ends, with lanes `(channels,)` or
        `(groups, group_features)`.
      cotangent: of the outputs, with lanes `(channels,)` or `(groups, features)`.
      windows: where the taps lie.
    Returns:
      With lanes `(channels,)` or `(group_features, groups, features)`.
    """
    n, rank, zero = padded.shape[0], windows.rank, np.int32(0)
    lanes, own = padded.shape[rank + 1 :], cotangent.shape[rank + 1 :]
    many = len(lanes) > 1
    *rows, columns = windows.output_shape
    *steps_above, step = windows.strides
    per_pixel = math.prod((*windows.window_shape, *lanes[1:], *own))
    together, length = _stretch(n, columns, per_pixel)
    places = _places((n // max(together, 1), *rows, columns // max(length, 1)))
    pixel_steps = (together, *steps_above, length * step)
    output_steps = (together, *(1 for _ in rows), length)
    reach = (length - 1) * step + windows.effective_shape[-1]
    slab_shape = (together, *windows.effective_shape[:-1], reach, *lanes)

    # Or what it keeps for a derivative would be every tap's pixels.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def add(total: Array, place: tuple[Array, ...]) -> tuple[Array, None]:
        at = [p * np.int32(s) for p, s in zip(place, pixel_steps, strict=True)]
        slab = lax.dynamic_slice(padded, (*at, *(zero for _ in lanes)), slab_shape)
        met = _met(slab, windows, length)
        if many:
            met = jnp.moveaxis(met, -1, 0)[..., None]
        at = [p * np.int32(s) for p, s in zip(place, output_steps, strict=True)]
        shape = (together, *(1 for _ in rows), length, *own)
        part = lax.dynamic_slice(cotangent, (*at, *(zero for _ in own)), shape)
        part = part.reshape((together, length, *own))
        return total + met * on_all_axes(part, met), None

    shape = (*lanes[1:], *windows.window_shape, together, length, *own)
    nothing = jnp.zeros(shape, padded.dtype)
    varying = tuple(sorted(jax.typeof(padded).manual_axis_type.varying))
    if varying:  # in the parts of a `shard_map`, as what is added does
        nothing = lax.pcast(nothing, varying, to="varying")
    total, _ = lax.scan(add, nothing, places)
    first = rank + len(lanes) - 1
    total = jnp.sum(total, (first, first + 1))
    return jnp.moveaxis(total, 0, rank) if many else total


def _stretch(n: Size, columns: int, lanes: int) -> tuple[int, int]:
    """How many images, and how many pixels of their rows, are taken at once.

    The most of which the accumulators have no more than `MOST` elements, and that leave no rest:
    pixels of one row, or whole rows of several images.
    """
    length = _divisor(columns, MOST // max(lanes, 1))
    if length < columns or not are_known(n):
        return min(n, 1) if are_known(n) else 1, length
    return _divisor(n, MOST // max(lanes * columns, 1)), length


def _divisor(number: int, most: int) -> int:
    """The largest divisor of a number that is at most so large, 1 at least; 0 of 0."""
    divisors = range(1, min(number, max(most, 1)) + 1)
    return max((d for d in divisors if number % d == 0), default=0)


def _places(counts: tuple[Size, ...]) -> tuple[np.ndarray | Array, ...]:
    """For every step, how many there are before it along each axis."""
    if are_known(*counts):
        return tuple(np.indices(counts, np.int32).reshape((len(counts), -1)))
    return tuple(
        lax.broadcasted_iota(jnp.int32, counts, axis).reshape(-1) for axis in range(len(counts))
    )


def _met(
    slab: Num[Array, "together *slab_and_lanes"], windows: Windows, length: int
) -> Num[Array, "*kernel_size_together_length_and_lanes"]:
    """What every tap meets in a stretch of windows, of which the first begins the slab."""
    rank, taps = windows.rank, windows.window_shape[-1]
    *between, apart = windows.dilation
    for axis, d in enumerate(between, 1):
        slab = lax.slice_in_dim(slab, 0, None, d, axis)
    before, reach, behind = slab.shape[:rank], slab.shape[rank], slab.shape[rank + 1 :]
    wide = reach + apart
    repeats = -(-taps * wide // reach)
    again = jnp.broadcast_to(jnp.expand_dims(slab, rank), (*before, repeats, reach, *behind))
    again = again.reshape((*before, repeats * reach, *behind))
    again = lax.slice_in_dim(again, 0, taps * wide, axis=rank)
    again = again.reshape((*before, taps, wide, *behind))
    again = lax.slice_in_dim(
        again, 0, (length - 1) * windows.strides[-1] + 1, windows.strides[-1], rank + 1
    )
    return jnp.moveaxis(again, 0, rank)
