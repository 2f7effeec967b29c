"""Encoded images and masks as arrays of bytes, whatever file they come from."""

import io
import warnings

import numpy as np
from PIL import Image

# The largest photograph of ImageNet has 61 million pixels; three bytes each once decoded.
MOST_PIXELS = 80_000_000


def decode_image(encoded: bytes, channels: int) -> np.ndarray:
    """Decodes in one way for all colour modes: palettes, CMYK, alpha and 1 bit become `channels`.

    Args:
      encoded: the content of an image file.
      channels: 1 for grey, 3 for red, green and blue.
    Returns:
      `(height, width, channels)`, uint8.
    Raises:
      ValueError: more than `MOST_PIXELS` pixels, seen before a single one is decoded.
    """
    return to_array(open_image(encoded, channels))


def decode_mask(encoded: bytes) -> np.ndarray:
    """Decodes a mask as the numbers that are in the file: no colour is ever converted.

    Args:
      encoded: the content of an image file of one channel or with a palette, whose numbers count.
    Returns:
      `(height, width)`, uint8.
    Raises:
      ValueError: more than `MOST_PIXELS` pixels, or a file that holds colours, not classes.
    """
    return np.asarray(open_mask(encoded), np.uint8)


def open_image(encoded: bytes, channels: int) -> Image.Image:
    """As `decode_image`, still an image of Pillow, which can be cut and resized."""
    return _open(encoded).convert("L" if channels == 1 else "RGB")


def open_mask(encoded: bytes) -> Image.Image:
    """As `decode_mask`, still an image of Pillow, in a mode whose pixels are the classes."""
    image = _open(encoded)
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
