"""Pictures to try `predict` with: digits under bad light, thin and thick, and what is no digit.

All are drawn by this file, from handwritten digits or from noise; none is a photograph, but
`photographs` cuts its pictures out of the two that come with scikit-learn.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

Pictures = list[np.ndarray]  # each `(height, width)`, 0 to 1
_SIDE = 112  # pixels of a drawn page


def page(digit: np.ndarray) -> np.ndarray:
    """A digit of `(28, 28, 1)`, bytes, black on a white page of four times the size."""
    large = Image.fromarray(digit[..., 0]).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    return 1 - np.asarray(large) / 255


def plain(digits: np.ndarray, rng: np.random.Generator) -> Pictures:
    """Dark on white."""
    return [page(digit) for digit in digits]


def uneven(digits: np.ndarray, rng: np.random.Generator) -> Pictures:
    """Pencil on paper that gets from a sixth to half of the light at its darkest end; grain."""
    y, x = np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j]
    pictures = []
    for digit in digits:
        angle, darkest = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.5)
        along = (np.cos(angle) * x + np.sin(angle) * y) / np.sqrt(2)
        light = darkest + (1 - darkest) * (1 + along) / 2
        reflected = 1 - 0.7 * (1 - page(digit))
        grain = 0.01 * rng.normal(size=light.shape)
        pictures.append(np.clip(0.9 * light * reflected + grain, 0, 1))
    return pictures


def thin(digits: np.ndarray, rng: np.random.Generator) -> Pictures:
    """The middle line of each stroke alone, a pixel wide on a page of 112."""
    return [1.0 - _middle_line(page(digit) < 0.5) for digit in digits]


def thick(digits: np.ndarray, rng: np.random.Generator) -> Pictures:
    """By a marker: each stroke 8 to 12 pixels wider on a page of 112, where it has some 12."""
    pictures = []
    for digit in digits:
        wider = int(rng.integers(4, 7))
        ink = np.pad(1 - page(digit), wider)
        pictures.append(1 - ndimage.maximum_filter(ink, 2 * wider + 1))
    return pictures


def several(digits: np.ndarray, rng: np.random.Generator) -> Pictures:
    """Two or three beside each other."""
    pictures = []
    for _ in digits:
        chosen = [page(digits[i]) for i in rng.integers(0, len(digits), rng.integers(2, 4))]
        pictures.append(np.concatenate(chosen, axis=1))
    return pictures


def noise(digits: np.ndarray, rng: np.random.Generator) -> Pictures:
    """White noise, and such that is smooth like clouds, by turns."""
    pictures = []
    for number in range(len(digits)):
        side = int(rng.integers(30, 150))
        drawn = rng.normal(size=(side, side))
        if number % 2:
            frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
            frequency[0, 0] = 1
            power = frequency ** rng.uniform(1, 2)
            drawn = np.fft.ifft2(np.fft.fft2(drawn) / power).real
        pictures.append((drawn - drawn.min()) / np.ptp(drawn))
    return pictures


def photographs(digits: np.ndarray, rng: np.random.Generator) -> Pictures:
    """Square parts of a temple and of a flower."""
    from sklearn.datasets import load_sample_images

    whole = [np.asarray(Image.fromarray(i).convert("L")) / 255 for i in load_sample_images().images]
    pictures = []
    for number in range(len(digits)):
        image, side = whole[number % len(whole)], int(rng.integers(60, 400))
        top, left = (int(rng.integers(0, n - side)) for n in image.shape)
        pictures.append(image[top : top + side, left : left + side])
    return pictures


DIGITS: dict[str, Callable[[np.ndarray, np.random.Generator], Pictures]] = {
    "test digits": plain,
    "uneven light": uneven,
    "thin strokes": thin,
    "thick strokes": thick,
}
"""A picture of each digit, in their order."""
OTHERS = {"several digits": several, "noise": noise, "photographs": photographs}
"""As many pictures of other things."""


def _middle_line(filled: np.ndarray) -> np.ndarray:
    """What is left when the outline is taken off from all sides without tearing anything.

    References: T. Y. Zhang and C. Y. Suen, A fast parallel algorithm for thinning digital patterns,
    1984.
    """
    line = np.pad(filled, 1)
    while True:
        before = line
        for first in (True, False):
            # The eight neighbours, clockwise from the one above.
            around = [
                np.roll(line, (-dy, -dx), (0, 1))
                for dy, dx in ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
            ]
            up, _, right, _, down, _, left, _ = around
            count = sum(n.astype(int) for n in around)
            turns = sum(
                (~a & b).astype(int) for a, b in zip(around, np.roll(around, -1, 0), strict=True)
            )
            free = (
                (up & right & down, right & down & left)
                if first
                else (up & right & left, up & down & left)
            )
            outline = line & (count >= 2) & (count <= 6) & (turns == 1) & ~free[0] & ~free[1]
            line = line & ~outline
        if (line == before).all():
            return line[1:-1, 1:-1]
