"""Blocks of pixels moved into channels and back, one pixel of the block after the other."""

import itertools
import math
from collections.abc import Iterator

import numpy as np

from jaxcnn.reference import _taps


def space_to_depth(
    inputs: np.ndarray, block_shape: tuple[int, ...], *, order: str = "CRD"
) -> np.ndarray:
    """Moves blocks of pixels into the channels.

        out[y, c*R + b] = inputs[y*r + i, c]     order "CRD"
        out[y, b*C + c] = inputs[y*r + i, c]     order "DCR"

    for C channels and blocks of R pixels, b the row-major position of pixel i in its block; y and i
    run over as many axes as there are spatial ones.

    Args:
      inputs: `(*batch, *spatial, channels)`.
      block_shape: r, pixels of a block per spatial axis.
      order: "CRD" or "DCR".
    Returns:
      `(*batch, *coarse, channels * prod(block_shape))` in float64 or complex128.
    """
    x = _taps.as_float(inputs)
    first, channels = x.ndim - 1 - len(block_shape), x.shape[-1]
    shape = list(x.shape)
    shape[-1] *= math.prod(block_shape)
    for axis, r in enumerate(block_shape, start=first):
        shape[axis] //= r
    out = np.zeros(shape, x.dtype)
    for pixels, features in _moves(channels, block_shape, order):
        out[..., features] = x[pixels]
    return out


def space_to_depth_vjp(
    cotangent: np.ndarray, inputs: np.ndarray, block_shape: tuple[int, ...], *, order: str = "CRD"
) -> tuple[np.ndarray]:
    """Pulls the cotangent g of `space_to_depth` back to its argument.

    Each element of the inputs is copied to exactly one place, so that its gradient is the cotangent
    at that place: a permutation's transpose is its inverse, here `depth_to_space` of g.

        dL/dinputs[y*r + i, c] = g[y, c*R + b]     order "CRD"
        dL/dinputs[y*r + i, c] = g[y, b*C + c]     order "DCR"

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `space_to_depth`; no gradient depends on it.
      block_shape: as for `space_to_depth`.
      order: as for `space_to_depth`.
    Returns:
      The gradient of the inputs.
    """
    return (depth_to_space(cotangent, block_shape, order=order),)


def depth_to_space(
    inputs: np.ndarray, block_shape: tuple[int, ...], *, order: str = "CRD"
) -> np.ndarray:
    """Spreads the channels over blocks of pixels.

        out[y*r + i, c] = inputs[y, c*R + b]     order "CRD"
        out[y*r + i, c] = inputs[y, b*C + c]     order "DCR"

    for C channels of the result and blocks of R pixels, b the row-major position of pixel i.

    Args:
      inputs: `(*batch, *coarse, channels * prod(block_shape))`.
      block_shape: r, pixels of a block per spatial axis.
      order: "CRD" or "DCR".
    Returns:
      `(*batch, *spatial, channels)` in float64 or complex128.
    """
    x = _taps.as_float(inputs)
    first = x.ndim - 1 - len(block_shape)
    shape = list(x.shape)
    shape[-1] //= math.prod(block_shape)
    for axis, r in enumerate(block_shape, start=first):
        shape[axis] *= r
    out = np.zeros(shape, x.dtype)
    for pixels, features in _moves(shape[-1], block_shape, order):
        out[pixels] = x[..., features]
    return out


def depth_to_space_vjp(
    cotangent: np.ndarray, inputs: np.ndarray, block_shape: tuple[int, ...], *, order: str = "CRD"
) -> tuple[np.ndarray]:
    """Pulls the cotangent g of `depth_to_space` back to its argument.

    It permutes elements, so that the transpose is the inverse, `space_to_depth` of g.

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `depth_to_space`; no gradient depends on it.
      block_shape: as for `depth_to_space`.
      order: as for `depth_to_space`.
    Returns:
      The gradient of the inputs.
    """
    return (space_to_depth(cotangent, block_shape, order=order),)


def _moves(
    channels: int, block_shape: tuple[int, ...], order: str
) -> Iterator[tuple[tuple, slice]]:
    """Yields, for each pixel of a block, where it lies in all blocks and which features hold it."""
    count = math.prod(block_shape)
    for b, pixel in enumerate(itertools.product(*map(range, block_shape))):
        steps = (slice(i, None, r) for i, r in zip(pixel, block_shape, strict=True))
        crd, dcr = slice(b, None, count), slice(b * channels, (b + 1) * channels)
        yield (..., *steps, slice(None)), crd if order == "CRD" else dcr
