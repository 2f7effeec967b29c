"""Deformable convolution: d-linear samples at moved positions, then one matrix product.

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
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Inexact

from jaxcnn.geometry import Size, Windows
from jaxcnn.lowering.problem import ConvProblem


def deform_conv(
    inputs: Inexact[Array, "n *spatial in_features"],
    kernel: Inexact[Array, "*kernel_size group_features out_features"],
    offsets: Float[Array, "n *out offset_groups taps axes"],
    mask: Inexact[Array, "n *out offset_groups taps"] | None,
    problem: ConvProblem,
) -> Inexact[Array, "n *out out_features"]:
    """Samples `inputs` under every tap, each moved by its offset, and multiplies by the kernel."""
    windows, n = problem.windows, inputs.shape[0]
    places, (groups, taps) = math.prod(windows.output_shape), offsets.shape[-3:-1]
    positions = _tap_positions(windows, offsets.dtype) + offsets.reshape(
        (n, places, groups, taps, windows.rank)
    )
    samples = _sample(inputs, windows.sizes, positions)
    if mask is not None:
        samples *= mask.reshape((n, places, groups, taps, 1))
    samples = jnp.swapaxes(samples, 2, 3).reshape((n * places, taps, inputs.shape[-1]))
    outputs = _product(samples, kernel.reshape((taps, *kernel.shape[-2:])), problem)
    return outputs.reshape((n, *windows.output_shape, kernel.shape[-1]))


def _tap_positions(windows: Windows, dtype: np.dtype) -> Float[Array, "1 places 1 taps axes"]:
    """Where each tap of each window lies on the input, in pixels, before it is moved."""
    steps = zip(
        windows.output_shape,
        windows.strides,
        windows.padding,
        windows.window_shape,
        windows.dilation,
        strict=True,
    )
    arrays = np if windows.known else jnp
    along = [
        (arrays.arange(o) * s - low)[:, None] + np.arange(k)[None] * d
        for o, s, (low, _), k, d in steps
    ]
    rank, grid = windows.rank, []
    for axis, values in enumerate(along):
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = values.shape
        grid.append(
            arrays.broadcast_to(
                values.reshape(shape), (*windows.output_shape, *windows.window_shape)
            )
        )
    positions = arrays.stack(grid, axis=-1).reshape(
        (1, math.prod(windows.output_shape), 1, math.prod(windows.window_shape), rank)
    )
    return jnp.asarray(positions, dtype)


def _sample(
    inputs: Inexact[Array, "n *spatial in_features"],
    sizes: tuple[Size, ...],
    positions: Float[Array, "n places groups taps axes"],
) -> Inexact[Array, "n places groups taps channels"]:
    """The d-linear interpolation of each group's channels at the group's positions, 0 outside."""
    n, places, groups, taps, rank = positions.shape
    channels = inputs.shape[-1] // groups
    planes = inputs.reshape((n, math.prod(sizes), groups, channels)).swapaxes(1, 2)
    ends = [_cell_ends(positions[..., axis], size) for axis, size in enumerate(sizes)]
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


def _cell_ends(position: Array, size: Size) -> tuple[tuple[Array, Array, Array], ...]:
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


def _product(samples: Array, kernel: Array, problem: ConvProblem) -> Array:
    """Contracts taps and channels, each group of channels with its own features."""
    groups = problem.feature_group_count
    rows, taps, in_features = samples.shape
    samples = samples.reshape((rows, taps, groups, in_features // groups))
    out_features = kernel.shape[-1]
    kernel = kernel.reshape((taps, in_features // groups, groups, out_features // groups))
    outputs = lax.dot_general(
        samples,
        kernel,
        (((1, 3), (0, 1)), ((2,), (2,))),
        precision=problem.precision,
        preferred_element_type=problem.preferred_element_type,
    )
    return jnp.swapaxes(outputs, 0, 1).reshape((rows, out_features))
