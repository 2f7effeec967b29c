"""Images of any shape brought to one: cut at random to train on, from the middle to test with.

References: C. Szegedy et al., Going deeper with convolutions, 2015 (random crops by area).
"""

import math

import numpy as np
from PIL import Image, ImageOps

_AREA = (0.25, 1.0)  # share of the image that a random crop shows
_ASPECT = (3 / 4, 4 / 3)  # width over height of a random crop
_TRIES = 10
_MARGIN = 8 / 7  # 256 / 224: what a middle crop is cut from, by what is cut

Pair = tuple[int, int]


def random_crop(
    image: Image.Image, mask: Image.Image | None, size: Pair, rng: np.random.Generator
) -> tuple[Image.Image, Image.Image | None]:
    """A part of random area, aspect and place, resized, and mirrored half of the time.

    Args:
      image: of any size.
      mask: of the same size; its pixels are chosen, never blended.
      size: `(height, width)` of the result.
      rng: draws all of it.
    Returns:
      The part of the image and the same part of the mask.
    """
    left, top, width, height = _random_box(image.size, rng)
    box = (left, top, left + width, top + height)
    image, mask = _resize(image, mask, size, box)
    if rng.random() < 0.5:
        image, mask = (part and ImageOps.mirror(part) for part in (image, mask))
    return image, mask


def middle_crop(
    image: Image.Image, mask: Image.Image | None, size: Pair
) -> tuple[Image.Image, Image.Image | None]:
    """The middle of the image, resized: as large as fits, less a margin of 1/16 on each side.

    Args:
      image: of any size.
      mask: of the same size.
      size: `(height, width)` of the result.
    Returns:
      The part of the image and the same part of the mask.
    """
    (width, height), (rows, columns) = image.size, size
    scale = min(width / columns, height / rows) / _MARGIN
    left, top = (width - columns * scale) / 2, (height - rows * scale) / 2
    box = (left, top, left + columns * scale, top + rows * scale)
    return _resize(image, mask, size, box)


def _random_box(size: Pair, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Left, top, width and height, whole pixels inside an image of `size` `(width, height)`."""
    all_width, all_height = size
    for _ in range(_TRIES):
        area = rng.uniform(*_AREA) * all_width * all_height
        aspect = math.exp(rng.uniform(*np.log(_ASPECT)))
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < width <= all_width and 0 < height <= all_height:
            break
    else:  # a very long image: its middle
        width = max(1, min(all_width, round(all_height * _ASPECT[1])))
        height = max(1, min(all_height, round(all_width / _ASPECT[0])))
        return (all_width - width) // 2, (all_height - height) // 2, width, height
    left = int(rng.integers(0, all_width - width + 1))
    top = int(rng.integers(0, all_height - height + 1))
    return left, top, width, height


def _resize(image: Image.Image, mask: Image.Image | None, size: Pair, box: tuple):
    image = image.resize(size[::-1], Image.Resampling.BILINEAR, box=box)
    return image, mask and mask.resize(size[::-1], Image.Resampling.NEAREST, box=box)
