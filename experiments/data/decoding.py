"""Encoded images and masks as arrays of bytes, whatever file they come from."""

import contextlib
import io
import warnings
from collections.abc import Sequence

import numpy as np
from PIL import Image, UnidentifiedImageError

# The largest photograph of ImageNet has 61 million pixels; three bytes each once decoded.
MOST_PIXELS = 80_000_000
# What TensorFlow decodes too. Of other formats Pillow hands some to programs outside.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP")


class TooLarge(ValueError):
    """An image of more pixels than are decoded."""


def readable() -> tuple[str, ...]:
    """All formats that Pillow reads by itself: it hands PostScript to a program outside."""
    Image.init()
    return tuple(sorted(Image.OPEN.keys() - {"EPS"}))


def to_image(
    content: bytes | np.ndarray,
    channels: int,
    size: Sequence[int | None] = (None, None),
    formats: Sequence[str] = _FORMATS,
) -> Image.Image:
    """Decodes in one way for all colour modes: palettes, CMYK, alpha and 1 bit become `channels`.

    Args:
      content: of an image file; or the pixels, which are taken as they are.
      channels: 1 for grey, 3 for red, green and blue.
      size: height and width that the file must have; None where they vary.
      formats: as for `open_image`.
    Returns:
      An image of Pillow of mode "L" or "RGB".
    Raises:
      TooLarge: more than `MOST_PIXELS` pixels, seen before a single one is decoded.
      ValueError: another size, seen as early.
    """
    if isinstance(content, np.ndarray):
        return Image.fromarray(content[..., 0] if channels == 1 else content)
    image = open_image(content, formats=formats)
    if any(wanted not in (None, n) for wanted, n in zip(size, image.size[::-1], strict=True)):
        raise ValueError(f"an image must have {size} pixels; received {image.size[::-1]}")
    return image.convert("L" if channels == 1 else "RGB")


def to_mask(content: bytes | np.ndarray) -> Image.Image:
    """Decodes a mask as the numbers that are in the file: no colour is ever converted.

    Args:
      content: of an image file of one channel or with a palette, whose numbers count; or the
        numbers, `(height, width)`.
    Returns:
      An image of Pillow of mode "L", whose pixels are those numbers.
    Raises:
      TooLarge: more than `MOST_PIXELS` pixels.
      ValueError: the file holds colours, not classes.
    """
    if isinstance(content, np.ndarray):
        return Image.fromarray(content)
    image = open_image(content)
    if image.mode not in ("1", "L", "P"):
        raise ValueError(f"a mask must have one number a pixel; received mode {image.mode}")
    return Image.fromarray(np.asarray(image, np.uint8))


def to_array(image: Image.Image) -> np.ndarray:
    """`(height, width, channels)`, uint8, also of a grey image."""
    array = np.asarray(image)
    return array.reshape(*array.shape[:2], -1)


def open_image(
    encoded: bytes, most_pixels: int = MOST_PIXELS, formats: Sequence[str] = _FORMATS
) -> Image.Image:
    """Opens an image file and looks at its size; no pixel is decoded yet.

    Args:
      encoded: the content of the file.
      most_pixels: that it may have.
      formats: that it may have, as Pillow calls them.
    Raises:
      TooLarge: it claims more pixels.
      UnidentifiedImageError: it has none of the formats.
      Exception: Pillow's of many types; it is damaged.
    """
    received = "far more"
    with warnings.catch_warnings(), contextlib.suppress(Image.DecompressionBombError):
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we have our own limit
        try:
            image = Image.open(io.BytesIO(encoded), formats=formats)
        except UnidentifiedImageError:
            raise UnidentifiedImageError(f"no {' or '.join(formats)} image") from None
        if image.width * image.height <= most_pixels:
            return image
        received = f"{image.width} x {image.height}"
    raise TooLarge(f"an image must have at most {most_pixels:,} pixels; received {received}")
