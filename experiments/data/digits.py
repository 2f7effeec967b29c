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
from scipy import ndimage

from experiments.commands import files
from experiments.commands.command import UserError
from experiments.data.decoding import TooLarge, open_image, readable

_SIDE, _BOX = 28, 20
_MOST_BYTES = 2**26
_MOST_PIXELS = 50_000_000  # 200 MB once decoded to RGBA; files that claim more are not decoded
_ENOUGH = 1000  # pixels a side, of which 20 are left in the end
_LEAST_CONTRAST = 0.05  # of the range from black to white
_NOISE = 0.15  # of the contrast: paper grain and what JPEG leaves around a stroke
_MOST_NOISE = 0.5
_CLEAR = 0.25  # of the darkest stroke: what is no shade around one
_OVER_GRAIN = 4  # standard deviations
_TO_DEVIATION = 1.4826  # from the median of absolute values, of a normal distribution
_FITS = 8  # of the paper's surface, each without what lies far from the one before
_FITTED = 32  # pixels along a side that they look at
_MOST_GREY = 0.65
_APART = 0.1  # the share above which the strokes are of several digits, or of none
# Mean width of strokes, of 20 pixels. MNIST's have 2 to 3, and 1 in 100 above 4.
_HAIR, _FINE, _THICK = 0.75, 2.0, 4.0
_OF_HAIR, _OF_THICK = 2.6, 3.0  # what thinner and thicker ones are brought to


def read_digit(path: Path | str) -> np.ndarray:
    """Reads an image file and brings it into MNIST's form.

    Args:
      path: a file that Pillow reads, of any size and colour mode, dark on light or light on dark.
    Returns:
      `(28, 28, 1)`, uint8, white on black.
    Raises:
      UserError: the file is absent, no image, too large to be decoded, or blank.
    """
    return look(_grey(_decode(Path(path))), path)[0]


def look_at(path: Path | str) -> tuple[np.ndarray, list[str]]:
    """`read_digit`, and why the picture may be of something else, see `look`."""
    return look(_grey(_decode(Path(path))), path)


def look(grey: np.ndarray, path: Path | str = "the image") -> tuple[np.ndarray, list[str]]:
    """A picture in MNIST's form, and why it may show something else than one digit.

    A picture is doubted by this rule: more than a tenth of its strokes hangs together with no part
    of the largest piece; or of the pixels in the end more than 65 % are neither paper nor stroke,
    but between 0.1 and 0.7 of the darkest one. `experiments.doubts` counts how often that is wrong.

    Args:
      grey: `(height, width)`, 0 to 1.
      path: named in the error.
    Returns:
      `(28, 28, 1)`, uint8, and the reasons, in words; none where it looks like a digit.
    Raises:
      UserError: the image is blank.
    """
    strokes = ink(grey, path)
    digit, doubts = centre(strokes), []
    if apart(strokes) > _APART:
        doubts.append("it is of several pieces")
    share = digit / 255
    if (share[share > 0.1] < 0.7).mean() > _MOST_GREY:
        doubts.append("it has hardly any clear stroke")
    return digit, doubts


def ink(grey: np.ndarray, path: Path | str = "the image") -> np.ndarray:
    """How much a pixel differs from the paper: 0 there and in the noise, 1 in the darkest stroke.

    The paper is a smooth surface, quadratic in the place, through the border and all that differs
    little from it: light that falls unevenly is part of the paper. What differs from it by less
    than the noise that is left on the paper, and by less than 0.15 of the strokes, is paper too.

    Args:
      grey: `(height, width)`, 0 to 1.
      path: named in the error.
    Returns:
      As `grey`.
    Raises:
      UserError: nothing differs from the paper.
    """
    paper, grain = _paper(grey)
    difference = grey - paper
    dark, light = -difference.min(), difference.max()
    if max(dark, light) < _LEAST_CONTRAST:
        raise UserError(f"{path}: the image is blank; give one that shows a digit")
    if dark > light:  # paper reflects a share of the light: ink in a shadow differs less from it
        paper = np.maximum(paper, _LEAST_CONTRAST)
        difference, grain = -difference / paper, grain / paper
    top = difference.max()
    least = np.clip(_OVER_GRAIN * grain / top, _NOISE, _MOST_NOISE)
    return np.clip((difference / top - least) / (1 - least), 0, 1)


def _paper(grey: np.ndarray) -> tuple[np.ndarray, float]:
    """The brightness of the paper at each pixel, and the standard deviation of its grain."""
    step = -(-max(grey.shape) // _FITTED)
    small = grey[::step, ::step]
    place, values = _powers(small.shape), small.ravel()
    border = np.ones(small.shape, bool)
    border[1:-1, 1:-1] = False
    known = border.ravel()
    surface, weights = np.full(values.shape, np.median(values[known])), np.zeros(place.shape[1])
    weights[0] = surface[0]
    for _ in range(_FITS):
        far = np.abs(values - surface)
        known = far <= max(3 * _TO_DEVIATION * np.median(far[known]), _LEAST_CONTRAST / 2)
        if known.sum() <= len(weights):
            break
        weights = np.linalg.lstsq(place[known], values[known])[0]
        surface = place @ weights
    grain = _TO_DEVIATION * np.median(np.abs(values - surface)[known])
    return (_powers(grey.shape) @ weights).reshape(grey.shape), float(grain)


def _powers(shape: tuple[int, ...]) -> np.ndarray:
    """1, y, x, y*y, x*y and x*x of every pixel, the sides being from -1 to 1."""
    y, x = (axis.ravel() for axis in np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j])
    return np.stack([np.ones_like(y), y, x, y * y, x * y, x * x], axis=1)


def apart(strokes: np.ndarray) -> float:
    """The share of the strokes that hangs together with no part of the largest piece.

    Args:
      strokes: as `centre`'s.
    """
    cut = _cut(strokes)
    taps = 2 * (max(cut.shape) // (4 * _BOX)) + 1  # half of a pixel in the end: bridges fine cracks
    grown = ndimage.maximum_filter(cut, taps, mode="constant")
    pieces, _ = ndimage.label(grown > _CLEAR, np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel(), weights=(cut > _CLEAR).ravel())[1:]
    return float(1 - sizes.max() / sizes.sum())


def centre(strokes: np.ndarray) -> np.ndarray:
    """Fits what is not 0 into 20 x 20 and puts its centre of mass at the middle of 28 x 28.

    Strokes that would be thinner or thicker than MNIST's are brought to a width of those first.

    Args:
      strokes: `(height, width)`, 0 to 1, not all 0.
    Returns:
      `(28, 28, 1)`, uint8.
    """
    cut = _cut(strokes)
    small = _shrunk(cut if apart(strokes) > _APART else _drawn_anew(cut), _BOX)
    digit = small / max(small.max(), 1e-6)
    (height, width), mass = digit.shape, digit.sum()
    top = _offset((digit.sum(axis=1) @ np.arange(height)) / mass, height)
    left = _offset((digit.sum(axis=0) @ np.arange(width)) / mass, width)
    canvas = np.zeros((_SIDE, _SIDE, 1), np.uint8)
    canvas[top : top + height, left : left + width, 0] = np.rint(255 * digit)
    return canvas


def _cut(strokes: np.ndarray) -> np.ndarray:
    """Without the paper around."""
    rows, columns = np.flatnonzero(strokes.any(axis=1)), np.flatnonzero(strokes.any(axis=0))
    return strokes[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _shrunk(cut: np.ndarray, box: int) -> np.ndarray:
    """Brought to so many pixels along its longer side, each the mean of what it covers."""
    height, width = (max(1, round(n * box / max(cut.shape))) for n in cut.shape)
    image = Image.fromarray(cut.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def _drawn_anew(cut: np.ndarray) -> np.ndarray:
    """With strokes as wide as MNIST's: fine ones get 2 of 20 pixels, hairlines 2.6, thick ones 3.

    The mean width of a stroke is twice its area over the length of its outline.
    """
    scale = max(cut.shape) / _BOX  # pixels here for one in the end
    filled = np.pad(cut > 0.5, 1)
    outline = sum(np.count_nonzero(filled != np.roll(filled, 1, axis)) for axis in (0, 1))
    width = 2 * np.count_nonzero(filled) / max(outline * np.pi / 4, 1) / scale
    wanted = _OF_HAIR if width < _HAIR else max(width, _FINE) if width <= _THICK else _OF_THICK
    taps = 2 * round(abs(wanted - width) * scale / 2) + 1
    if taps == 1:
        return cut
    if wanted > width:  # outwards too, at the ends of strokes
        return ndimage.maximum_filter(np.pad(cut, taps // 2), taps, mode="constant")
    thinner = ndimage.minimum_filter(cut, taps, mode="constant")
    return _cut(thinner) if thinner.max() > 0.5 else cut


def _offset(mass_centre: float, size: int) -> int:
    """Where to start so that the centre of mass is in the middle, without leaving the canvas."""
    return int(np.clip(round((_SIDE - 1) / 2 - mass_centre), 0, _SIDE - size))


def _decode(path: Path) -> Image.Image:
    """The image, upright; its size is looked at before a pixel is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about what is odd and can be read
            content = files.read(path, _MOST_BYTES)
            with open_image(content, _MOST_PIXELS, readable()) as image:
                return ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: no image that Pillow reads; convert it to PNG or JPEG") from None
    except TooLarge as error:
        raise UserError(f"{path}: {error}; shrink it") from None
    except Exception as error:  # of many types, struct's and zlib's among them
        raise UserError(f"{path}: the image cannot be read ({error}); save it anew") from None


def _grey(image: Image.Image) -> np.ndarray:
    """`(height, width)`, 0 to 1; transparent parts are taken as whichever paper shows more."""
    if image.mode.startswith("I"):  # 16 bits: `convert("L")` would cut, not scale
        values = np.asarray(image, np.float32)
        return _pixels(Image.fromarray(values)) / (65535 if values.max() > 255 else 255)
    if image.mode == "F":  # of any scale
        values = np.nan_to_num(np.asarray(image, np.float32))
        return _pixels(Image.fromarray(values - values.min())) / max(np.ptp(values), 1e-6)
    if not image.has_transparency_data:
        return _pixels(image.convert("RGB").convert("L")) / 255
    image = image.convert("RGBA")
    papers = (Image.new("RGBA", image.size, colour) for colour in ("white", "black"))
    greys = [_pixels(Image.alpha_composite(p, image).convert("L")) / 255 for p in papers]
    return max(greys, key=np.std)


def _pixels(image: Image.Image) -> np.ndarray:
    """An array of some thousand pixels a side at most; more would only cost memory."""
    return np.asarray(image.reduce(max(1, max(image.size) // _ENOUGH)), np.float64)
