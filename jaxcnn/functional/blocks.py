"""Trading resolution for channels and back, without losing a value."""

import math
from collections.abc import Sequence

from jaxtyping import Array, Shaped

from jaxcnn import geometry
from jaxcnn._checks import arrays, options
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.lowering.problem import Typed

ORDERS = ("CRD", "DCR")


@planned("inputs")
def space_to_depth(
    inputs: Shaped[Array, "*batch_and_spatial channels"],
    block_shape: tuple[int, ...],
    *,
    order: str = "CRD",
) -> Shaped[Array, "*batch_and_coarse features"]:
    """Moves blocks of pixels into the channels: each block becomes one pixel.

        out[n, y, x, (c*r + i)*r + j] = inputs[n, y*r + i, x*r + j, c]               order "CRD"
        out[n, y, x, (i*r + j)*channels + c] = inputs[n, y*r + i, x*r + j, c]        order "DCR"

    for blocks of r x r. "CRD" keeps the pixels of one channel together, as PyTorch's
    `pixel_unshuffle`; "DCR" keeps the channels of one pixel together, as TensorFlow's
    `space_to_depth`. Either order is the inverse of `depth_to_space` with the same one, which is
    also its gradient.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      block_shape: pixels of a block, a tuple with one int per spatial axis; each divides its size.
      order: "CRD" or "DCR".
    Returns:
      `(*batch, *coarse, channels * prod(block_shape))`, coarse = n / r.
    Raises:
      ValueError: a block does not divide its axis, or shapes disagree.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> F.space_to_depth(jnp.ones((8, 6, 4, 3)), (2, 2)).shape
      (8, 3, 2, 12)
      >>> pixels = jnp.array([[11, 21], [12, 22]])  # tens: the channel, ones: the pixel
      >>> F.space_to_depth(pixels, (2,)), F.space_to_depth(pixels, (2,), order="DCR")
      (Array([[11, 12, 21, 22]], dtype=int32), Array([[11, 21, 12, 22]], dtype=int32))

    References:
      W. Shi et al., Real-time single image and video super-resolution using an efficient sub-pixel
      convolutional neural network, 2016.
    """
    block, batch, sizes, _ = _blocks(inputs, block_shape, order)
    for axis, (size, r) in enumerate(zip(sizes, block, strict=True)):
        if geometry.surely_below(size, 1) or size % r != 0:
            raise ValueError(
                f"`block_shape` (={block}) must divide the spatial sizes {sizes}, "
                f"none of them 0; received inputs {inputs.shape}, where {r} does not divide {size} "
                f"along spatial axis {axis}; pad or crop the inputs; write a symbolic size as a "
                f"multiple, such as '{r}*h'"
            )
    return to_run(_to_depth, batch=batch, by_rows=False, block=block, channels_first=order == "CRD")


@planned("inputs")
def depth_to_space(
    inputs: Shaped[Array, "*batch_and_coarse features"],
    block_shape: tuple[int, ...],
    *,
    order: str = "CRD",
) -> Shaped[Array, "*batch_and_spatial channels"]:
    """Spreads the channels over blocks of pixels: each pixel becomes one block.

        out[n, y*r + i, x*r + j, c] = inputs[n, y, x, (c*r + i)*r + j]               order "CRD"
        out[n, y*r + i, x*r + j, c] = inputs[n, y, x, (i*r + j)*channels + c]        order "DCR"

    for blocks of r x r. "CRD" is the order of PyTorch's `pixel_shuffle`, "DCR" that of TensorFlow's
    `depth_to_space`. Either order is the inverse of `space_to_depth` with the same one, which is
    also its gradient.

    Args:
      inputs: `(*batch, *coarse, channels * prod(block_shape))`, any number of batch axes.
      block_shape: pixels of a block, a tuple with one int per spatial axis.
      order: "CRD" or "DCR".
    Returns:
      `(*batch, *spatial, channels)`, spatial = coarse * r.
    Raises:
      ValueError: the blocks' size does not divide the number of channels, or shapes disagree.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> F.depth_to_space(jnp.ones((8, 3, 2, 12)), (2, 2)).shape
      (8, 6, 4, 3)
      >>> F.depth_to_space(jnp.array([[11, 12, 21, 22]]), (2,))
      Array([[11, 21],
             [12, 22]], dtype=int32)

    References:
      W. Shi et al., Real-time single image and video super-resolution using an efficient sub-pixel
      convolutional neural network, 2016.
    """
    block, batch, sizes, features = _blocks(inputs, block_shape, order)
    if features % math.prod(block) or 0 in sizes:
        raise ValueError(
            f"`block_shape` (={block}) must have a product that divides the number "
            f"of channels, and no spatial axis may be empty; received inputs {inputs.shape}, where "
            f"{math.prod(block)} pixels a block share {features} channels"
        )
    return to_run(_to_space, batch=batch, by_rows=False, block=block, channels_first=order == "CRD")


def _to_depth(inputs: Array, *, block: tuple[int, ...], channels_first: bool) -> Array:
    images, *sizes, channels = inputs.shape
    coarse = tuple(size // r for size, r in zip(sizes, block, strict=True))
    split = inputs.reshape((images, *_interleaved(coarse, block), channels))
    rank = len(block)
    pixels, taps, last = range(1, 2 * rank, 2), range(2, 2 * rank + 1, 2), (2 * rank + 1,)
    features = (*last, *taps) if channels_first else (*taps, *last)
    moved = split.transpose((0, *pixels, *features))
    return moved.reshape((images, *coarse, channels * math.prod(block)))


def _to_space(inputs: Array, *, block: tuple[int, ...], channels_first: bool) -> Array:
    images, *sizes, features = inputs.shape
    rank, channels = len(block), features // math.prod(block)
    if channels_first:
        split = inputs.reshape((images, *sizes, channels, *block))
        last, taps = rank + 1, range(rank + 2, 2 * rank + 2)
    else:
        split = inputs.reshape((images, *sizes, *block, channels))
        last, taps = 2 * rank + 1, range(rank + 1, 2 * rank + 1)
    moved = split.transpose((0, *_interleaved(range(1, rank + 1), taps), last))
    fine = (size * r for size, r in zip(sizes, block, strict=True))
    return moved.reshape((images, *fine, channels))


def _interleaved(left: Sequence[int], right: Sequence[int]) -> list[int]:
    return [each for pair in zip(left, right, strict=True) for each in pair]


def _blocks(
    inputs: Typed, block_shape: object, order: object
) -> tuple[tuple[int, ...], int, tuple[int, ...], int]:
    """The checked blocks, the number of batch axes, the spatial sizes and the channels."""
    block = geometry.axes_tuple("block_shape", block_shape)
    options.choice("order", order, ORDERS)
    batch, sizes, channels = arrays.spatial_batch(
        inputs, len(block), because=f"the block_shape {block} has {len(block)}"
    )
    return block, len(batch), sizes, channels
