"""Deformable convolution sample by sample, and its gradient derived by hand."""

import itertools
import math
from collections.abc import Iterator

import numpy as np

from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.reference import _taps

Corner = tuple[tuple[int, ...], float, tuple[float, ...]]


@named
def deform_conv(
    inputs: np.ndarray,
    kernel: np.ndarray,
    offsets: np.ndarray,
    *,
    bias: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    strides: IntPerAxis = 1,
    padding: Padding = "VALID",
    kernel_dilation: IntPerAxis = 1,
    feature_group_count: int = 1,
    offset_group_count: int = 1,
) -> np.ndarray:
    """Cross-correlates `inputs` with `kernel` at positions that the offsets move.

        out[i, o] = bias[o] + sum over a, c of kernel[a, c, o] * y[i, a, c]
        y[i, a, c] = m[i, q, a] * S(x[:, c], p[i, q, a])
        p[i, q, a] = i*s - p_lo + a*d + offsets[i, q, a]
        S(x, p)    = sum over pixels u of x[u] * product over axes of max(0, 1 - |p - u|)

    q is the offset group of channel c, and m is 1 without a mask. Of the pixels u only the 2^d
    corners of the cell around p count; those outside the input are 0.

    Args:
      inputs: `(*batch, *spatial, in_features)`.
      kernel: `(*kernel_size, in_features / feature_group_count, out_features)`.
      offsets: `(*batch, *out, offset_group_count * prod(kernel_size) * d)`.
      bias: `(out_features,)`.
      mask: `(*batch, *out, offset_group_count * prod(kernel_size))`.
      strides: s, pixels between windows.
      padding: any form that `jaxcnn.functional.deform_conv` takes.
      kernel_dilation: d, pixels between neighbouring taps.
      feature_group_count: number of groups of channels that see one another alone.
      offset_group_count: number of groups of channels that share offsets and mask.
    Returns:
      `(*batch, *out, out_features)` in float64, or complex128 for complex arguments.
    """
    x, kernel = _taps.as_float(inputs), _taps.as_float(kernel)
    options = dict(strides=strides, padding=padding, kernel_dilation=kernel_dilation)
    flat, moves, weights, starts = _prepare(x, kernel, offsets, mask, offset_group_count, options)
    n, out_shape, groups, taps = len(flat), moves.shape[1:-3], *moves.shape[-3:-1]
    y = np.zeros((n, *out_shape, taps, x.shape[-1]), flat.dtype)
    width = x.shape[-1] // groups
    for where in itertools.product(range(n), *map(range, out_shape), range(groups), range(taps)):
        image, place, (q, tap) = where[0], where[1:-2], where[-2:]
        channels = slice(q * width, (q + 1) * width)
        for pixel, weight, _ in _corners(starts[*place, tap] + moves[where], flat.shape[1:-1]):
            y[image, *place, tap, channels] += (
                weights[where] * weight * flat[image, *pixel, channels]
            )
    out = np.zeros((n, *out_shape, kernel.shape[-1]), np.result_type(flat, kernel))
    k = kernel.reshape((taps, *kernel.shape[-2:]))
    for c, o in _taps.channel_groups(x.shape[-1], kernel.shape[-1], feature_group_count):
        out[..., o] = np.tensordot(y[..., c], k[..., o], axes=([-2, -1], [0, 1]))
    if bias is not None:
        out = out + _taps.as_float(bias)
    return _taps.restore_batch(out, _taps.batch_shape(x, kernel.ndim - 2))


@named
def deform_conv_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    kernel: np.ndarray,
    offsets: np.ndarray,
    *,
    bias: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    strides: IntPerAxis = 1,
    padding: Padding = "VALID",
    kernel_dilation: IntPerAxis = 1,
    feature_group_count: int = 1,
    offset_group_count: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Pulls the cotangent g of `deform_conv` back to its arguments.

    First to the samples: y[i, a, c] is multiplied by kernel[a, c, o] and by nothing else, so

        h[i, a, c] = dL/dy[i, a, c]   = sum over o of g[i, o] * kernel[a, c, o]
        dL/dkernel[a, c, o]           = sum over n, i of y[n, i, a, c] * g[n, i, o]
        dL/dbias[o]                   = sum over n, i of g[n, i, o]

    with o in the feature group of c. Then through y = m * S(x, p), S = sum over u of x[u] * W(p, u)
    with W the product over axes of w(p - u), w(t) = max(0, 1 - |t|):

        dL/dmask[i, q, a]             = sum over c in q of h[i, a, c] * S(x[:, c], p[i, q, a])
        dL/dx[u, c]                   = sum over i, a of h[i, a, c] * m[i, q, a] * W(p[i, q, a], u)
        dL/doffsets[i, q, a, axis]    = sum over c in q, u of h[i, a, c] * m[i, q, a] * x[u, c]
                                        * dW/dp_axis

    In dW/dp_axis the factor of that axis is replaced by its derivative, w'(t) = -1 for 0 <= t < 1
    and +1 for -1 <= t < 0: the corner below p loses what the one above it gains. w has kinks at
    t = -1, 0, 1, which p meets where it is whole; taking 0 and -1 into these half-open intervals is
    the derivative from the right, x[p + 1] - x[p] along the axis.

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `deform_conv`, like all that follow.
      kernel: `(*kernel_size, in_features / feature_group_count, out_features)`.
      offsets: `(*batch, *out, offset_group_count * prod(kernel_size) * d)`.
      bias: `(out_features,)`.
      mask: `(*batch, *out, offset_group_count * prod(kernel_size))`.
      strides: s, pixels between windows.
      padding: any form that `jaxcnn.functional.deform_conv` takes.
      kernel_dilation: d, pixels between neighbouring taps.
      feature_group_count: number of groups of channels that see one another alone.
      offset_group_count: number of groups of channels that share offsets and mask.
    Returns:
      The gradients of inputs, kernel, offsets, bias and mask (None for those not given).
    """
    x, kernel, g = map(_taps.as_float, (inputs, kernel, cotangent))
    options = dict(strides=strides, padding=padding, kernel_dilation=kernel_dilation)
    flat, moves, weights, starts = _prepare(x, kernel, offsets, mask, offset_group_count, options)
    n, out_shape, groups, taps = len(flat), moves.shape[1:-3], *moves.shape[-3:-1]
    g = g.reshape((n, *out_shape, kernel.shape[-1]))
    k = kernel.reshape((taps, *kernel.shape[-2:]))
    dtype = np.result_type(flat, kernel, g)
    h = np.zeros((n, *out_shape, taps, x.shape[-1]), dtype)
    for c, o in _taps.channel_groups(x.shape[-1], kernel.shape[-1], feature_group_count):
        h[..., c] = np.tensordot(g[..., o], k[..., o], axes=(-1, -1))

    y, d_flat = np.zeros(h.shape, dtype), np.zeros(flat.shape, dtype)
    d_weights, d_moves = np.zeros(weights.shape, dtype), np.zeros(moves.shape, dtype)
    width = x.shape[-1] // groups
    for where in itertools.product(range(n), *map(range, out_shape), range(groups), range(taps)):
        image, place, (q, tap) = where[0], where[1:-2], where[-2:]
        c, m = slice(q * width, (q + 1) * width), weights[where]
        h_here = h[image, *place, tap, c]
        for pixel, weight, slopes in _corners(starts[*place, tap] + moves[where], flat.shape[1:-1]):
            value = flat[image, *pixel, c]
            y[image, *place, tap, c] += m * weight * value
            d_weights[where] += weight * (h_here * value).sum()
            d_flat[image, *pixel, c] += h_here * m * weight
            d_moves[where] += np.array(slopes) * m * (h_here * value).sum()

    d_k, every = np.zeros(k.shape, dtype), tuple(range(g.ndim - 1))
    for c, o in _taps.channel_groups(x.shape[-1], kernel.shape[-1], feature_group_count):
        d_k[..., o] = np.tensordot(y[..., c], g[..., o], axes=(every, every))
    return (
        d_flat.reshape(x.shape),
        d_k.reshape(kernel.shape),
        np.real(d_moves).reshape(np.shape(offsets)),
        None if bias is None else g.sum(axis=every),
        None if mask is None else np.real(d_weights).reshape(np.shape(mask)),
    )


def _prepare(x, kernel, offsets, mask, groups: int, options: dict):
    """Lays the windows and gives offsets and mask one axis for each thing that they count.

    Returns:
      The flat inputs; offsets (n, *out, groups, taps, axes); mask (n, *out, groups, taps), of ones
      without one; and where each tap lies before it is moved, (*out, taps, axes).
    """
    kernel_size = kernel.shape[:-2]
    flat, windows, _ = _taps.lay_windows(x, kernel_size, **options)
    rank, out_shape, taps = windows.rank, windows.output_shape, math.prod(kernel_size)
    shape = (len(flat), *out_shape, groups, taps)
    moves = np.asarray(offsets, np.float64).reshape((*shape, rank))
    weights = np.ones(shape) if mask is None else _taps.as_float(mask).reshape(shape)
    starts = np.zeros((*out_shape, taps, rank))
    for place in np.ndindex(*out_shape):
        for number, tap in enumerate(np.ndindex(*kernel_size)):
            starts[*place, number] = [
                i * s - low + a * d
                for i, s, (low, _), a, d in zip(
                    place, windows.strides, windows.padding, tap, windows.dilation, strict=True
                )
            ]
    return flat, moves, weights, starts


def _corners(position: np.ndarray, sizes: tuple[int, ...]) -> Iterator[Corner]:
    """Yields the corners of the cell around `position` that lie on the input.

    Each comes as its pixel u, W(p, u), and dW/dp along each axis.
    """
    below = [math.floor(p) for p in position]
    for corner in itertools.product(range(2), repeat=len(below)):
        pixel = tuple(low + end for low, end in zip(below, corner, strict=True))
        if any(not 0 <= u < size for u, size in zip(pixel, sizes, strict=True)):
            continue
        factors = [1 - abs(p - u) for p, u in zip(position, pixel, strict=True)]
        slopes = tuple(
            math.prod(factors[:axis]) * (1 if end else -1) * math.prod(factors[axis + 1 :])
            for axis, end in enumerate(corner)
        )
        yield pixel, math.prod(factors), slopes
