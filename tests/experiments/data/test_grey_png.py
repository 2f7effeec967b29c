"""Many PNG files at once: the pixels of Pillow, or none at all."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from experiments.data import grey_png
from experiments.data.split import Layout, Split


def png(pixels, mode=None, **options):
    file, image = io.BytesIO(), Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, "png", **options)
    return file.getvalue()


def chunk(kind, data):
    checked = kind + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))


def filtered(rng, height, width, filters):
    """A file whose rows hold any bytes behind any filters."""
    rows = rng.integers(0, 256, (height, width + 1), np.uint8)
    rows[:, 0] = filters
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(rows.tobytes())
    parts = [chunk(b"IDAT", data[:20]), chunk(b"IDAT", data[20:])]
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *parts, chunk(b"IEND", b"")])


@pytest.mark.parametrize("filters", [0, 1, 2, 3, 4, "mixed"])
def test_every_filter_is_undone_as_by_pillow(filters):
    rng = np.random.default_rng(7)
    height, width = 9, 13
    files = []
    for _ in range(20):
        drawn = rng.integers(0, 5, height) if filters == "mixed" else filters
        files.append(filtered(rng, height, width, drawn))
    wanted = [np.asarray(Image.open(io.BytesIO(file))) for file in files]
    np.testing.assert_array_equal(grey_png.decode(files, height, width), wanted)


def broken():
    rng = np.random.default_rng(3)
    grey, colour = rng.integers(0, 256, (6, 5), np.uint8), rng.integers(0, 256, (6, 5, 3), np.uint8)
    whole = png(grey)
    middle = whole.index(b"IDAT") + 8
    yield "colours", png(colour)
    yield "another size", png(grey[:5])
    yield "16 bits", png(grey.astype(np.uint16))
    yield "a palette", png(grey, mode="P")
    yield "a chunk more", png(grey, dpi=(72, 72))
    yield "another format", b"BM" + whole
    yield "an array", grey
    yield "nothing", b""
    yield (
        "too much behind the rows",
        filtered(rng, 7, 5, 0).replace(
            chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 7, 8, 0, 0, 0, 0)),
            chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 6, 8, 0, 0, 0, 0)),
        ),
    )
    yield "a filter that is none", filtered(rng, 6, 5, 5)
    yield "a bit flipped", whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for end in (4, 8, 20, 33, middle, len(whole) - 12, len(whole) - 1):
        yield f"cut at {end}", whole[:end]


@pytest.mark.parametrize(
    "content", [content for _, content in broken()], ids=[name for name, _ in broken()]
)
def test_all_else_is_left_to_pillow(content):
    good = png(np.arange(30, dtype=np.uint8).reshape(6, 5))
    assert grey_png.decode([good], 6, 5) is not None
    assert grey_png.decode([good, content], 6, 5) is None


def test_a_bomb_is_not_inflated():
    header = struct.pack(">IIBBBBB", 5, 6, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(10**8))
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    assert grey_png.decode([b"\x89PNG\r\n\x1a\n" + b"".join(parts)], 6, 5) is None


@pytest.mark.parametrize("plain", [True, False])
def test_a_split_is_the_same_either_way(plain, tmp_path):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (7, 6, 5), np.uint8)
    examples = [{"image": png(image), "label": n % 3} for n, image in enumerate(images)]
    if not plain:
        examples[4]["image"] = png(images[4], dpi=(72, 72))
    layout = Layout("set", tmp_path, "image", "label", (6, 5, 1), is_mask=False, classes=3)
    taken, labels = Split(examples, layout, np.array([5, 4, 0])).arrays()
    np.testing.assert_array_equal(taken, images[[5, 4, 0], ..., None])
    assert labels.tolist() == [2, 1, 0]
