"""Trading resolution for channels and back, without losing a value."""

import math

from jaxtyping import Array, Shaped

from jaxcnn import geometry
from jaxcnn.functional import _arguments
from jaxcnn.functional._program import program

ORDERS = ("CRD", "DCR")


@program("inputs", image=lambda block_shape, **_: len(block_shape) + 1)
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
    inputs, block, batch, sizes, channels = _prepare("space_to_depth", inputs, block_shape, order)
    for axis, (size, r) in enumerate(zip(sizes, block, strict=True)):
        if geometry.surely_below(size, 1) or size % r != 0:
            raise ValueError(
                f"space_to_depth: `block_shape` (={block}) must divide the spatial sizes {sizes}, "
                f"none of them 0; received inputs {inputs.shape}, where {r} does not divide {size} "
                f"along spatial axis {axis}; pad or crop the inputs; write a symbolic size as a "
                f"multiple, such as '{r}*h'"
            )
    coarse = tuple(size // r for size, r in zip(sizes, block, strict=True))
    pairs = (part for pair in zip(coarse, block, strict=True) for part in pair)
    split = inputs.reshape((*batch, *pairs, channels))
    first, rank = len(batch), len(block)
    pixels = [first + 2 * axis for axis in range(rank)]
    taps = [first + 2 * axis + 1 for axis in range(rank)]
    last = [first + 2 * rank]
    features = last + taps if order == "CRD" else taps + last
    moved = split.transpose((*range(first), *pixels, *features))
    return moved.reshape((*batch, *coarse, channels * math.prod(block)))


@program("inputs", image=lambda block_shape, **_: len(block_shape) + 1)
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
    inputs, block, batch, sizes, features = _prepare("depth_to_space", inputs, block_shape, order)
    if features % math.prod(block) or 0 in sizes:
        raise ValueError(
            f"depth_to_space: `block_shape` (={block}) must have a product that divides the number "
            f"of channels, and no spatial axis may be empty; received inputs {inputs.shape}, where "
            f"{math.prod(block)} pixels a block share {features} channels"
        )
    channels = features // math.prod(block)
    first, rank = len(batch), len(block)
    if order == "CRD":
        split = inputs.reshape((*batch, *sizes, channels, *block))
        last, taps = first + rank, range(first + rank + 1, first + 2 * rank + 1)
    else:
        split = inputs.reshape((*batch, *sizes, *block, channels))
        last, taps = first + 2 * rank, range(first + rank, first + 2 * rank)
    pairs = (part for pair in zip(range(first, first + rank), taps, strict=True) for part in pair)
    moved = split.transpose((*range(first), *pairs, last))
    fine = (size * r for size, r in zip(sizes, block, strict=True))
    return moved.reshape((*batch, *fine, channels))


def _prepare(function: str, inputs: object, block_shape: object, order: object):
    """Returns the checked array, its blocks, and its batch, spatial sizes and channels."""
    values = _arguments.array(function, "inputs", inputs)
    block = geometry.axes_tuple(function, "block_shape", block_shape)
    _arguments.choice(function, "order", order, ORDERS)
    batch, sizes, channels = _arguments.spatial_batch(
        function, values, len(block), because=f"the block_shape {block} has {len(block)}"
    )
    return values, block, batch, sizes, channels
