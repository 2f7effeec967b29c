"""`digits8x8`: the 1,797 tiny handwritten digits of scikit-learn as a TFDS data set.

They lie in the PyPI package `scikit-learn`, which comes with `mlxtend`, as a gzipped table: 64
pixels of 0 to 16 and the label a row. Good for tests of a few seconds.

References: E. Alpaydin and C. Kaynak, Optical recognition of handwritten digits, 1998.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from experiments.data import tables

_TABLE = ("digits8x8", "sklearn", "datasets", "data", "digits.csv.gz")
_COUNTS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
_TEST_PER_CLASS, _SIDE, _BRIGHTEST = 36, 8, 16


class Digits8x8(tfds.core.GeneratorBasedBuilder):
    """Handwritten digits of 8 x 8 pixels: 1,437 to train on, 360 to test with."""

    name = "digits8x8"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Stratified split with seed 0."}  # noqa: RUF012 - a TFDS name

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description="1,797 digits of 8 x 8 pixels carried by the PyPI package scikit-learn.",
            homepage="https://scikit-learn.org/stable/datasets/toy_dataset.html",
            features=tables.digit_features(_SIDE),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        path = tables.find_table(*_TABLE)
        images, labels = tables.read_table("digits8x8", path, _SIDE, _COUNTS)
        images = np.rint(images * (255 / _BRIGHTEST)).astype(np.uint8)
        rows = tables.stratified_split(labels, _TEST_PER_CLASS)
        return {split: self._generate_examples(images, labels, rows[split]) for split in rows}

    def _generate_examples(self, images, labels, rows) -> Iterator:
        return tables.digit_examples(images, labels, rows)
