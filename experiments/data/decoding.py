"""Encoded images and masks as arrays of bytes, whatever file they come from."""

import io
import warnings

import numpy as np
from PIL import Image

# The largest photograph of ImageNet has 61 million pixels; three bytes each once decoded.
MOST_PIXELS = 80_000_000


def to_image(content: bytes | np.ndarray, channels: int) -> Image.Image:
    """Decodes in one way for all colour modes: palettes, CMYK, alpha and 1 bit become `channels`.

    Args:
      content: of an image file; or the pixels, which are taken as they are.
      channels: 1 for grey, 3 for red, green and blue.
    Returns:
      An image of Pillow of mode "L" or "RGB".
    Raises:
      ValueError: more than `MOST_PIXELS` pixels, seen before a single one is decoded.
    """
    if isinstance(content, np.ndarray):
        return Image.fromarray(content[..., 0] if channels == 1 else content)
    return _open(content).convert("L" if channels == 1 else "RGB")


def to_mask(content: bytes | np.ndarray) -> Image.Image:
    """Decodes a mask as the numbers that are in the file: no colour is ever converted.

    Args:
      content: of an image file of one channel or with a palette, whose numbers count; or the
        numbers, `(height, width)`.
    Returns:
      An image of Pillow of mode "L", whose pixels are those numbers.
    Raises:
      ValueError: more than `MOST_PIXELS` pixels, or a file that holds colours, not classes.
    """
    if isinstance(content, np.ndarray):
        return Image.fromarray(content)
    image = _open(content)
    if image.mode not in ("1", "L", "P"):
        raise ValueError(f"a mask must have one number a pixel; received mode {image.mode}")
    return Image.fromarray(np.asarray(image, np.uint8))


def to_array(image: Image.Image) -> np.ndarray:
    """`(height, width, channels)`, uint8, also of a grey image."""
    array = np.asarray(image)
    return array.reshape(*array.shape[:2], -1)


def _open(encoded: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we have our own limit
        try:
            image = Image.open(io.BytesIO(encoded))
        except Image.DecompressionBombError as error:
            raise ValueError(f"an image of far more than {MOST_PIXELS:,} pixels") from error
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(
            f"an image must have at most {MOST_PIXELS:,} pixels; received "
            f"{image.width} x {image.height}"
        )
    return image
