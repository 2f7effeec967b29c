"""Image files brought into MNIST's form."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from experiments.commands.command import UserError
from experiments.data.digits import centre, ink, read_digit


@pytest.fixture(scope="module")
def drawing():
    """A hooked stroke, white on black, off the centre of 90 x 120 pixels: `(90, 120)`, uint8."""
    image = Image.new("L", (120, 90))
    ImageDraw.Draw(image).line([(70, 12), (102, 12), (84, 74)], fill=255, width=8)
    return np.asarray(image)


@pytest.fixture(scope="module")
def expected(drawing, tmp_path_factory):
    """What a plain PNG of the drawing gives."""
    path = tmp_path_factory.mktemp("plain") / "plain.png"
    Image.fromarray(drawing).save(path)
    return read_digit(path)


def coloured(drawing, stroke, paper):
    share = drawing[..., None] / 255
    return Image.fromarray(np.uint8(share * stroke + (1 - share) * paper))


def transparent(drawing, colour):
    pixels = np.zeros((*drawing.shape, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = colour, drawing
    return Image.fromarray(pixels)


VARIANTS = {
    "dark on light.png": lambda d: Image.fromarray(255 - d),
    "dark on light.jpg": lambda d: Image.fromarray(255 - d),
    "faint.png": lambda d: Image.fromarray(120 + d // 4),
    "colour.jpg": lambda d: coloured(d, np.array([20, 30, 90]), np.array([250, 240, 220])),
    "16 bits.png": lambda d: Image.fromarray(d.astype(np.uint16) * 257),
    "1 bit.png": lambda d: Image.fromarray(d).convert("1"),
    "palette.png": lambda d: Image.fromarray(d).convert("P"),
    "grey with alpha.png": lambda d: Image.fromarray(d).convert("LA"),
    "black on nothing.png": lambda d: transparent(d, 0),
    "white on nothing.png": lambda d: transparent(d, 255),
    "cmyk.jpg": lambda d: coloured(d, np.array([0, 0, 0]), np.array([255] * 3)).convert("CMYK"),
    "four times.png": lambda d: Image.fromarray(d.repeat(4, 0).repeat(4, 1)),
    "twenty times.jpg": lambda d: Image.fromarray(d.repeat(20, 0).repeat(20, 1)),
    "wide paper.png": lambda d: Image.fromarray(np.pad(d, ((0, 300), (40, 0)))),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_same_digit_whatever_the_file(name, drawing, expected, tmp_path):
    path = tmp_path / name
    VARIANTS[name](drawing).save(path)
    digit = read_digit(path)
    assert digit.shape == (28, 28, 1) and digit.dtype == np.uint8
    assert np.abs(digit.astype(int) - expected).mean() < 4  # of 255: what JPEG and scaling leave


def test_turned_photograph_is_put_upright(drawing, expected, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by 90 degrees to the right
    Image.fromarray(np.rot90(drawing).copy()).save(tmp_path / "a.jpg", exif=exif)
    assert np.abs(read_digit(tmp_path / "a.jpg").astype(int) - expected).mean() < 4


@pytest.mark.parametrize("shape", [(60, 20), (9, 31), (400, 3), (1, 1)])
def test_fills_the_box_and_is_centred(rng, shape):
    strokes = np.pad(rng.uniform(0.5, 1, shape), ((5, 0), (0, 9)))
    digit = centre(strokes)[..., 0]
    rows, columns = np.flatnonzero(digit.any(1)), np.flatnonzero(digit.any(0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert max(height, width) == 20
    line = min(height, width) <= 3  # which is drawn as wide as a pen's
    assert abs(height / width - shape[0] / shape[1]) < 0.1 * shape[0] or line
    mass = digit / digit.sum()
    assert abs(mass.sum(1) @ np.arange(28) - 13.5) <= 0.51
    assert abs(mass.sum(0) @ np.arange(28) - 13.5) <= 0.51


@pytest.mark.parametrize(
    ("drawn", "least", "most"), [(3, 2, 3), (12, 1.6, 3), (40, 2, 4), (160, 2, 4)]
)
def test_strokes_are_drawn_as_wide_as_a_pens(drawn, least, most):
    """A cross of that stroke on a page of 400: 20 pixels are left of 400."""
    strokes = np.zeros((400, 400))
    middle = slice(200 - drawn // 2, 200 + -(-drawn // 2))
    strokes[middle, :] = strokes[:, middle] = 1
    digit = centre(strokes)[..., 0] / 255
    arm = digit[:, np.flatnonzero(digit.any(0))[1]]  # across the arm on the left
    assert least <= arm.sum() <= most


def test_ink_is_the_difference_from_the_paper():
    grey = np.full((5, 6), 0.8)
    grey[2, 3], grey[2, 2] = 0.0, 0.4
    expected = np.zeros((5, 6))
    expected[2, 3], expected[2, 2] = 1, (0.5 - 0.15) / 0.85
    np.testing.assert_allclose(ink(grey), expected, atol=1e-12)


def test_blank(tmp_path):
    Image.new("L", (50, 40), 77).save(tmp_path / "blank.png")
    with pytest.raises(UserError, match="blank"):
        read_digit(tmp_path / "blank.png")
