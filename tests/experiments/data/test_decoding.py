"""Images and masks from files of every kind, and those that are refused."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.commands.command import UserError
from experiments.data.decoding import to_array, to_image, to_mask
from experiments.data.split import Layout


def encode(image, kind="png"):
    file = io.BytesIO()
    image.save(file, format=kind)
    return file.getvalue()


def bomb(width, height):
    """A PNG file of a few bytes that claims any size."""

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


def test_every_mode_becomes_the_wanted_channels(rng):
    drawn = rng.integers(0, 190, 3) + np.arange(60).reshape(4, 5, 3)
    colour = Image.fromarray(drawn.astype(np.uint8))
    for mode in ("RGB", "RGBA", "CMYK"):
        kind, off = ("jpeg", 12) if mode == "CMYK" else ("png", 0)  # what JPEG leaves of a colour
        decoded = to_array(to_image(encode(colour.convert(mode), kind), 3))
        np.testing.assert_allclose(decoded, np.asarray(colour), atol=off)
    for mode in ("L", "LA", "P", "1"):
        decoded = to_array(to_image(encode(colour.convert("L").convert(mode)), 3))
        assert decoded.shape == (4, 5, 3) and np.ptp(decoded, axis=-1).max() == 0
    assert to_array(to_image(encode(colour), 1)).shape == (4, 5, 1)


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_masks_are_the_numbers_in_the_file(rng, mode):
    numbers = rng.integers(0, 2 if mode == "1" else 30, (4, 5)).astype(np.uint8)
    mask = Image.fromarray(numbers.astype(bool) if mode == "1" else numbers)
    if mode == "P":  # as many segmentation sets do: classes with a colour each
        mask = Image.fromarray(numbers, mode="L").convert("L")
        mask = Image.frombytes("P", mask.size, mask.tobytes())
        mask.putpalette(rng.integers(0, 256, 768).astype(np.uint8).tobytes())
    np.testing.assert_array_equal(np.asarray(to_mask(encode(mask))), numbers)


def test_masks_of_colours_are_refused():
    with pytest.raises(ValueError, match="one number a pixel; received mode RGB"):
        to_mask(encode(Image.new("RGB", (3, 3))))


@pytest.mark.parametrize("decode", [lambda content: to_image(content, 3), to_mask])
@pytest.mark.parametrize(
    ("size", "received"), [((10_000, 10_000), "10000 x 10000"), ((10**5, 10**5), "far more")]
)
def test_bombs_are_refused_before_they_are_decoded(decode, size, received):
    with pytest.raises(ValueError, match=f"at most 80,000,000 pixels; received {received}"):
        decode(bomb(*size))


def test_bad_examples_name_the_folder_and_what_helps():
    layout = Layout("some", Path("folder"), "image", "mask", (None, None, 3), True)
    image = encode(Image.new("RGB", (4, 3)))
    mask = encode(Image.new("L", (4, 3)))
    decoded, target = layout.decode(image, mask)
    assert decoded.shape == (3, 4, 3) and target.shape == (3, 4)
    for bad in (
        (b"no image", mask),
        (image[:-30], mask),
        (bomb(10_000, 10_000), mask),
        (image, image),
        (image, encode(Image.new("L", (3, 4)))),
    ):
        with pytest.raises(UserError, match=r"folder is damaged \(.*\); delete that folder and"):
            layout.decode(*bad)
