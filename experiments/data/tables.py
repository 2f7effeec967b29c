"""Digits that lie as a table of numbers inside an installed package, and how they are split."""

import gzip
import importlib.util
import io
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from experiments.commands import files
from experiments.commands.command import UserError, install

_SPLIT_SEED = 0
_GZIP = b"\x1f\x8b"


def find_table(name: str, package: str, *parts: str) -> Path:
    """Path of a file inside an installed package, found without importing it (1.5 s and more).

    Args:
      name: of the data set, for the message.
      package: as it is imported.
      *parts: folders and file inside the package.
    Raises:
      UserError: there is no such package or file.
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, *parts)
        if path.is_file():
            return path
    raise UserError(
        f"{name}: the package `{package}`, which carries the digits ({'/'.join((package, *parts))})"
        f", is not installed; get it with: {install('experiments')}"
    )


def read_table(
    name: str, path: Path, side: int, counts: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Images `(n, side, side)` and labels `(n,)`, both uint8, from rows of pixels and a label.

    Args:
      name: of the data set, for the message.
      path: of the table, numbers with commas between them, gzipped or not.
      side: height and width of an image.
      counts: how many rows of each class there must be.
    Raises:
      UserError: the file cannot be read, or holds another table.
    """
    expected = (sum(counts), side**2 + 1)
    try:
        text = _unpacked(path, most=len("255,") * math.prod(expected) + 1)
        table = np.loadtxt(io.BytesIO(text), dtype=np.uint8, delimiter=",", ndmin=2)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"{name}: cannot read {path} ({error}); reinstall its package") from None
    if table.shape != expected or np.bincount(table[:, -1]).tolist() != list(counts):
        raise UserError(
            f"{name}: {path} should hold a table of shape {expected} with {list(counts)} rows of "
            f"the classes; received shape {table.shape}; install another version of its package"
        )
    return table[:, :-1].reshape(-1, side, side), table[:, -1]


def _unpacked(path: Path, most: int) -> bytes:
    """The table as text; what would unpack to more than `most` bytes is refused before it does."""
    content = files.read(path, most)
    if not content.startswith(_GZIP):
        return content
    with gzip.open(io.BytesIO(content)) as unpacked:
        text = unpacked.read(most + 1)
    if len(text) > most:
        raise ValueError(f"it unpacks to more than {most:,} bytes")
    return text


def stratified_split(labels: np.ndarray, test_per_class: int) -> dict[str, np.ndarray]:
    """Row numbers of each split, always the same: equally many of every class to test with."""
    rng = np.random.default_rng(_SPLIT_SEED)
    classes = range(int(labels.max()) + 1)
    by_class = [rng.permutation(np.flatnonzero(labels == each)) for each in classes]
    train = np.concatenate([rows[test_per_class:] for rows in by_class])
    test = np.concatenate([rows[:test_per_class] for rows in by_class])
    return {"train": rng.permutation(train), "test": rng.permutation(test)}


def as_png(pixels: np.ndarray) -> io.BytesIO:
    """A file for a feature `Image`: it would have TensorFlow encode an array."""
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, format="png")
    png.seek(0)
    return png


def digit_features(side: int) -> tfds.features.FeaturesDict:
    """Those of TFDS's `mnist`, for images of another size."""
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(side, side, 1)),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
    )


def digit_examples(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Iterator:
    """What a builder yields: the chosen rows, with their numbers as keys."""
    for row in rows:
        yield int(row), {"image": as_png(images[row]), "label": int(labels[row])}
