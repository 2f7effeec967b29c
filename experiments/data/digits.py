"""A picture of one digit as MNIST would show it.

MNIST's digits are white on black, fill a 20 x 20 box and lie with their centre of mass in the
middle of 28 x 28 pixels. A network trained on them reads a photograph or a drawing only after the
same treatment.

References: Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits, 1998.
"""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from experiments.commands import files
from experiments.commands.command import UserError
from experiments.data.decoding import TooLarge, open_image

_SIDE, _BOX = 28, 20
_MOST_BYTES = 2**26
_MOST_PIXELS = 50_000_000  # 200 MB once decoded to RGBA; files that claim more are not decoded
_ENOUGH = 1000  # pixels a side, of which 20 are left in the end
_LEAST_CONTRAST = 0.05  # of the range from black to white
_NOISE = 0.15  # of the contrast: paper grain and what JPEG leaves around a stroke


def read_digit(path: Path | str) -> np.ndarray:
    """Reads an image file and brings it into MNIST's form.

    Args:
      path: a PNG or JPEG file of any size and colour mode, dark on light or light on dark.
    Returns:
      `(28, 28, 1)`, uint8, white on black.
    Raises:
      UserError: the file is absent, no image, too large to be decoded, or blank.
    """
    return centre(ink(_grey(_decode(Path(path))), path))


def ink(grey: np.ndarray, path: Path | str = "the image") -> np.ndarray:
    """How much a pixel differs from the paper: 0 there and in the noise, 1 in the darkest stroke.

    The paper is what most of the border shows.

    Args:
      grey: `(height, width)`, 0 to 1.
      path: named in the error.
    Returns:
      As `grey`.
    Raises:
      UserError: nothing differs from the paper.
    """
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    paper = np.median(border)
    dark, light = paper - grey.min(), grey.max() - paper
    if max(dark, light) < _LEAST_CONTRAST:
        raise UserError(f"{path}: the image is blank; give one that shows a digit")
    difference = (paper - grey) / dark if dark > light else (grey - paper) / light
    return np.clip((difference - _NOISE) / (1 - _NOISE), 0, 1)


def centre(strokes: np.ndarray) -> np.ndarray:
    """Fits what is not 0 into 20 x 20 and puts its centre of mass at the middle of 28 x 28.

    Args:
      strokes: `(height, width)`, 0 to 1, not all 0.
    Returns:
      `(28, 28, 1)`, uint8.
    """
    rows, columns = np.flatnonzero(strokes.any(axis=1)), np.flatnonzero(strokes.any(axis=0))
    cut = strokes[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(n * _BOX / max(cut.shape))) for n in cut.shape)
    small = Image.fromarray(cut.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    digit = np.asarray(small) / max(np.max(small), 1e-6)
    mass = digit.sum()
    top = _offset((digit.sum(axis=1) @ np.arange(height)) / mass, height)
    left = _offset((digit.sum(axis=0) @ np.arange(width)) / mass, width)
    canvas = np.zeros((_SIDE, _SIDE, 1), np.uint8)
    canvas[top : top + height, left : left + width, 0] = np.rint(255 * digit)
    return canvas


def _offset(mass_centre: float, size: int) -> int:
    """Where to start so that the centre of mass is in the middle, without leaving the canvas."""
    return int(np.clip(round((_SIDE - 1) / 2 - mass_centre), 0, _SIDE - size))


def _decode(path: Path) -> Image.Image:
    """The image, upright; its size is looked at before a pixel is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about what is odd and can be read
            content = files.read(path, _MOST_BYTES)
            with open_image(content, _MOST_PIXELS, ("PNG", "JPEG")) as image:
                return ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: no PNG or JPEG image; convert it to one of them") from None
    except TooLarge as error:
        raise UserError(f"{path}: {error}; shrink it") from None
    except Exception as error:  # of many types, struct's and zlib's among them
        raise UserError(f"{path}: the image cannot be read ({error}); save it anew") from None


def _grey(image: Image.Image) -> np.ndarray:
    """`(height, width)`, 0 to 1; transparent parts are taken as whichever paper shows more."""
    if image.mode.startswith("I"):  # 16 bits: `convert("L")` would cut, not scale
        return _pixels(Image.fromarray(np.asarray(image, np.float32))) / 65535
    if not image.has_transparency_data:
        return _pixels(image.convert("RGB").convert("L")) / 255
    image = image.convert("RGBA")
    papers = (Image.new("RGBA", image.size, colour) for colour in ("white", "black"))
    greys = [_pixels(Image.alpha_composite(p, image).convert("L")) / 255 for p in papers]
    return max(greys, key=np.std)


def _pixels(image: Image.Image) -> np.ndarray:
    """An array of some thousand pixels a side at most; more would only cost memory."""
    return np.asarray(image.reduce(max(1, max(image.size) // _ENOUGH)), np.float64)
