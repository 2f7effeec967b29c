"""Random changes of a batch of training images, in pure JAX: for use inside a jitted step.

Every image draws for itself, and all draws follow from the key. Images are `(n, *spatial,
channels)` of any number of spatial axes; labels stand beside them, and masks move with them.

References: A. Krizhevsky et al., ImageNet classification with deep convolutional neural networks,
2012 (shift, flip); T. DeVries and G. Taylor, Improved regularization with cutout, 2017; H. Zhang
et al., mixup: beyond empirical risk minimization, 2018; K. Jordan, 94 % on CIFAR-10 in 3.29 seconds
on a single GPU, 2024 (alternating flip).
"""

import dataclasses
import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from experiments.commands.command import require


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes of the training images; all of them off by default."""

    shift: int = 0
    """Largest shift on each axis, in pixels; black comes in (for masks, the border repeated)."""
    flip: Literal["none", "random", "alternating"] = "none"
    """Left and right swapped: of a random half of the images, or of each one every other epoch."""
    crop: int = 0
    """As shift, and what comes in is the image reflected at its border."""
    cutout: int = 0
    """Side of a black square somewhere on each image, in pixels; not for masks."""
    mixup: float = 0.0
    """Each image is blended with another one, their labels too, by shares drawn from
    Beta(mixup, mixup); not for masks."""

    def __post_init__(self):
        for name in ("shift", "crop", "cutout"):
            value = getattr(self, name)
            require(value >= 0, name, value, "must be 0 or more pixels")
        kinds = ("none", "random", "alternating")
        require(self.flip in kinds, "flip", self.flip, f"must be one of {', '.join(kinds)}")
        holds = 0 <= self.mixup < math.inf
        require(holds, "mixup", self.mixup, "must be 0 (none) or more; 0.2 is usual")

    def check(self, shape: tuple[int, ...], *, is_mask: bool) -> None:
        """Raises `UserError` unless all this can be done.

        Args:
          shape: of an image, `(*spatial, channels)`.
          is_mask: whether the targets are masks.
        """
        sides = "x".join(map(str, shape[:-1]))
        for name in ("shift", "crop"):
            value = getattr(self, name)
            rule = f"must be less than the sides of the images, which are {sides}"
            require(value == 0 or value < min(shape[:-1]), name, value, rule)
        for name in ("cutout", "mixup"):
            value = getattr(self, name)
            require(not (is_mask and value), name, value, "does not go with masks; leave it out")


def augment(
    options: Augmentation,
    key: jax.Array,
    images: jax.Array,
    targets: jax.Array,
    epoch: jax.Array | int,
) -> tuple[jax.Array, jax.Array]:
    """Changes every image by itself, in the order flip, shift, crop, cutout, mixup.

    Args:
      options: what to do; static.
      key: PRNG key, another one for every batch.
      images: `(n, *spatial, channels)`, bytes or floats.
      targets: labels as probabilities `(n, classes)`, of a float dtype; or as integers: labels
        `(n,)` or masks `(n, *spatial)`.
      epoch: its number, by which alternating flips go.
    Returns:
      As `images` and `targets`; with mixup, images of bytes become float32, still 0 to 255.
    Raises:
      UserError: an option does not go with the shape of the images, with masks, or with labels
        that are integers (mixup).
    """
    is_probability = jnp.issubdtype(targets.dtype, jnp.floating)
    is_mask = not is_probability and targets.ndim > 1
    options.check(images.shape[1:], is_mask=is_mask)
    rule = "needs targets that are probabilities, not numbers of classes"
    require(not options.mixup or is_probability, "mixup", options.mixup, rule)
    flip_key, shift_key, crop_key, cutout_key, mixup_key = jax.random.split(key, 5)
    moving = [images, targets[..., None]] if is_mask else [images]
    if options.flip == "random":
        moving = flip_where(random_sides(flip_key, images), *moving)
    elif options.flip == "alternating":
        moving = flip_where(alternating_sides(images, epoch), *moving)
    if options.shift:
        fill = "edge" if is_mask else "constant"
        moving = move(shift_key, *moving, pixels=options.shift, fill=fill)
    if options.crop:
        moving = move(crop_key, *moving, pixels=options.crop, fill="reflect")
    images = moving[0]
    targets = moving[1][..., 0] if is_mask else targets
    if options.cutout:
        images = cutout(cutout_key, images, options.cutout)
    if options.mixup:
        images, targets = mixup(mixup_key, images, targets, options.mixup)
    return images, targets


def random_sides(key: jax.Array, images: jax.Array) -> jax.Array:
    """Which of `(n, ...)` images to flip, each with probability 1/2: `(n,)`, bool."""
    return jax.random.bernoulli(key, 0.5, images.shape[:1])


def alternating_sides(images: jax.Array, epoch: jax.Array | int) -> jax.Array:
    """Which of `(n, ...)` images to flip so that each alternates from epoch to epoch: `(n,)`, bool.

    So no image shows the same side in two epochs that follow one another, as it would half of the
    time by chance. The side of epoch 0 is a hash of the image's bits: an image has the same
    wherever it stands in a batch, and about half of the images have each.
    """
    bits = images
    if jnp.issubdtype(images.dtype, jnp.floating):
        unsigned = jnp.dtype(f"uint{8 * min(4, images.dtype.itemsize)}")
        bits = jax.lax.bitcast_convert_type(images, unsigned)  # float64: an axis more
    bits = bits.reshape(len(images), math.prod(bits.shape[1:])).astype(jnp.uint32)
    weights = np.random.default_rng(0).integers(0, 2**32, bits.shape[1], np.uint32) | 1
    # Multiply and fold, so that the lowest bit depends on all of them (MurmurHash3's last steps).
    hashed = jnp.sum(bits * weights[None], axis=1, dtype=jnp.uint32)
    hashed = (hashed ^ (hashed >> 16)) * np.uint32(0x85EBCA6B)
    hashed = (hashed ^ (hashed >> 13)) * np.uint32(0xC2B2AE35)
    side = (hashed ^ (hashed >> 16)) & 1
    return (side + jnp.asarray(epoch, jnp.uint32)) % 2 == 1


def flip_where(flipped: jax.Array, *batches: jax.Array) -> list[jax.Array]:
    """Mirrors the images that `flipped` `(n,)` names, left to right: on their last spatial axis."""
    return [
        jnp.where(flipped.reshape(-1, *[1] * (batch.ndim - 1)), jnp.flip(batch, -2), batch)
        for batch in batches
    ]


def move(
    key: jax.Array,
    *batches: jax.Array,
    pixels: int,
    fill: Literal["constant", "edge", "reflect"] = "constant",
) -> list[jax.Array]:
    """Moves each image by its own whole number of pixels, -`pixels` to `pixels`, on every axis.

    Args:
      key: PRNG key.
      *batches: `(n, *spatial, channels)`; what has the same number moves by the same amount.
      pixels: the largest amount.
      fill: what comes in: zeros, the border repeated, or the image reflected at its border.
    Returns:
      As `batches`.
    """
    n, *spatial, _ = batches[0].shape
    corners = jax.random.randint(key, (n, len(spatial)), 0, 2 * pixels + 1)
    widths = ((0, 0), *[(pixels, pixels)] * len(spatial), (0, 0))

    def cut(image, corner):
        shape = (*spatial, image.shape[-1])
        return jax.lax.dynamic_slice(image, (*corner, jnp.zeros_like(corner[0])), shape)

    return [jax.vmap(cut)(jnp.pad(batch, widths, mode=fill), corners) for batch in batches]


def cutout(key: jax.Array, images: jax.Array, side: int) -> jax.Array:
    """Sets a square of `side` pixels to zero on each of `(n, *spatial, channels)` images.

    Its middle is any pixel with equal probability, so that it may stand over the border.
    """
    n, *spatial, _ = images.shape
    first = jax.random.randint(key, (n, len(spatial)), 0, np.asarray(spatial)) - side // 2
    positions = jnp.stack(jnp.indices(spatial), axis=-1)  # (*spatial, axes)
    offset = positions - first.reshape(n, *[1] * len(spatial), len(spatial))
    inside = jnp.all((offset >= 0) & (offset < side), axis=-1, keepdims=True)
    return jnp.where(inside, jnp.zeros((), images.dtype), images)


def mixup(
    key: jax.Array, images: jax.Array, targets: jax.Array, alpha: float
) -> tuple[jax.Array, jax.Array]:
    """Blends each image with the one before it in the batch, and their targets by the same share.

        out_i = share_i x_i + (1 - share_i) x_{i-1},        share_i ~ Beta(alpha, alpha)

    The order of a batch is random already; a neighbour, unlike a random partner, costs devices that
    share the batch no more than the exchange of one image.

    Args:
      key: PRNG key.
      images: `(n, *spatial, channels)`, bytes or floats.
      targets: `(n, classes)`, probabilities.
      alpha: towards 0 one of both shows almost alone, at 1 all shares are equally likely.
    Returns:
      As `images`, float32 if they were bytes, and as `targets`.
    """
    shares = jax.random.beta(key, alpha, alpha, images.shape[:1], jnp.float32)
    if not jnp.issubdtype(images.dtype, jnp.floating):
        images = images.astype(jnp.float32)

    def blend(batch):
        share = shares.reshape(-1, *[1] * (batch.ndim - 1)).astype(batch.dtype)
        return share * batch + (1 - share) * jnp.roll(batch, 1, axis=0)

    return blend(images), blend(targets)
