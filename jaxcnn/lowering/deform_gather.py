"""Samples at moved positions, d-linear between the pixels around them.

The sample of x at a position p that lies in the cell of floor(p) is, along each axis, the sum over
the cell's two ends: (1 - f) * x[floor(p)] + f * x[floor(p) + 1] with f = p - floor(p), over all
2^d corners the product of such weights. Each corner is one gather with indices that are clamped
into the input, so that none is out of bounds, and its weight is 0 where the corner is outside.

Derivatives are autodiff's. floor has derivative 0, so that dS/dp = x[floor(p) + 1] - x[floor(p)]
along an axis, at a whole p too: the derivative from the right, which is also torchvision's. The
gradient for the inputs is the transpose of a gather, a scatter-add; positions may coincide, so
that on a GPU its sums may be added in another order each time.
"""

import functools
import itertools
import math
import operator

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Inexact

from jaxcnn.geometry import Size


def sample(
    inputs: Inexact[Array, "n *spatial in_features"],
    sizes: tuple[Size, ...],
    positions: Float[Array, "n places groups taps axes"],
) -> Inexact[Array, "n places groups taps channels"]:
    """The d-linear interpolation of each group's channels at the group's positions, 0 outside."""
    n, places, groups, taps, rank = positions.shape
    channels = inputs.shape[-1] // groups
    planes = inputs.reshape((n, math.prod(sizes), groups, channels)).swapaxes(1, 2)
    ends = [cell_ends(positions[..., axis], size) for axis, size in enumerate(sizes)]
    total = jnp.zeros((n, places, groups, taps, channels), inputs.dtype)
    for corner in itertools.product(range(2), repeat=rank):
        pixel_at, shares, within = zip(
            *(ends[axis][end] for axis, end in enumerate(corner)), strict=True
        )
        index = pixel_at[0]
        for size, at in zip(sizes[1:], pixel_at[1:], strict=True):
            index = index * size + at
        weight = functools.reduce(operator.mul, shares)
        inside = functools.reduce(operator.and_, within)
        pixels = _gather(planes, index)
        pixels = jnp.where(inside[..., None], pixels, jnp.zeros((), pixels.dtype))
        total += pixels * weight[..., None].astype(pixels.dtype)
    return total


def cell_ends(position: Array, size: Size) -> tuple[tuple[Array, Array, Array], ...]:
    """For both ends of the cell around `position`: index, weight, whether it is on the axis.

    Far outside, where an infinite offset would make the weights NaN, both are 0; a NaN stays NaN.
    """
    far = (position < -1) | (position >= size)
    position = jnp.where(far, jnp.array(-1, position.dtype), position)
    low = jnp.floor(lax.stop_gradient(position))
    high_share = position - low
    ends = []
    for pixel, share in ((low, 1 - high_share), (low + 1, high_share)):
        within = (pixel >= 0) & (pixel < size) & ~far
        at = jnp.where(within, pixel, jnp.zeros((), pixel.dtype)).astype(jnp.int32)
        ends.append((at, share, within))
    return tuple(ends)


def _gather(
    planes: Inexact[Array, "n groups pixels channels"], index: Array
) -> Inexact[Array, "n places groups taps channels"]:
    """Looks up a pixel of the plane of its own image and group for each entry of `index`."""

    def one_plane(plane: Array, at: Array) -> Array:
        return plane.at[at].get(mode="promise_in_bounds")

    one_image = jax.vmap(one_plane, (0, 1), 1)
    return jax.vmap(one_image)(planes, index)
