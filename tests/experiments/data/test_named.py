"""Data sets by name: what is in them, whatever features they have."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow_datasets as tfds

from experiments.commands.command import UserError
from experiments.data import load, named
from experiments.data.named import describe
from experiments.data.scenes import draw as draw_scene
from experiments.data.signals import draw as draw_signal
from experiments.data.split import Layout

pytestmark = pytest.mark.usefixtures("plain_jax")


def test_mnist5k(data_dir):
    data = load("mnist5k", data_dir=data_dir)
    assert (data.name, data.task, data.image_shape) == ("mnist5k", "classification", (28, 28, 1))
    assert data.classes == tuple("0123456789")
    assert (len(data.train), len(data.test)) == (4000, 1000)
    assert data.train.nbytes == 4000 * 28 * 28 and not data.streamed
    image, label = data.train[7]
    assert image.shape == (28, 28, 1) and image.dtype == np.uint8 and type(label) is int
    with pytest.raises(IndexError):
        data.train[4000]


@pytest.mark.parametrize("name", ["scenes", "signals"])
def test_synthetic_sets_are_what_is_drawn(name, monkeypatch, tmp_path):
    monkeypatch.setattr(f"experiments.data.{name}._SIZES", {"train": 6, "test": 5})
    data = load(name, data_dir=tmp_path)
    draw = {"scenes": draw_scene, "signals": draw_signal}[name]
    for split, examples in (("train", data.train), ("test", data.test)):
        inputs, targets = examples.arrays()
        drawn = {draw(split, n)[0].tobytes(): draw(split, n)[1] for n in range(len(examples))}
        assert len(drawn) == {"train": 6, "test": 5}[split]
        for each, target in zip(inputs, targets, strict=True):
            np.testing.assert_array_equal(target, drawn[each.tobytes()])
    assert len(data.classes) == 5
    if name == "scenes":
        assert data.task == "segmentation" and data.image_shape == (64, 64, 3)
        assert data.train[0][1].dtype == np.uint8 and data.train[0][1].shape == (64, 64)
    else:
        assert data.task == "classification" and data.image_shape == (128, 1)


def test_scenes_and_signals_hold_every_class():
    masks = np.stack([draw_scene("train", n)[1] for n in range(30)])
    shares = np.bincount(masks.ravel(), minlength=5) / masks.size
    assert shares.argmax() == 0 and shares.min() > 0.01 and shares.sum() == 1
    assert [draw_signal("test", n)[1] for n in range(6)] == [0, 1, 2, 3, 4, 0]
    signals = np.stack([draw_signal("train", n)[0] for n in range(50)])
    assert signals.dtype == np.uint8 and signals.std(axis=1).min() > 20
    assert np.isin(signals, (0, 255)).mean() < 1e-3  # hardly one is clipped


MOCKED = {
    "cifar10": ((32, 32, 3), 10),
    "cifar100": ((32, 32, 3), 100),
    "imagenette": ((None, None, 3), 10),
    "imagenet2012": ((None, None, 3), 1000),
    "svhn_cropped": ((32, 32, 3), 10),
    "digits8x8": ((8, 8, 1), 10),
    "oxford_iiit_pet": ((None, None, 3), 3),
}


@pytest.mark.parametrize("name", MOCKED)
def test_mocked(name):
    shape, classes = MOCKED[name]
    data = load(f"mock:{name}")
    assert data.name == f"mock:{name}" and data.image_shape == shape
    assert len(data.classes) == classes and len(data.train) == 96 and len(data.test) == 32
    assert data.streamed == (None in shape)
    targets = []
    for image, target in (data.train[n] for n in range(20)):
        assert image.dtype == np.uint8 and image.std() > 30
        assert all(b in (a, None) for a, b in zip(image.shape, shape, strict=True))
        if data.task == "segmentation":
            assert target.shape == image.shape[:2] and target.dtype == np.uint8
            assert target.max() < 3
        targets.append(np.asarray(target))
    assert (data.task == "segmentation") == (name == "oxford_iiit_pet")
    assert max(target.max() for target in targets) >= min(classes - 1, 9) - 2
    if name == "imagenette":
        with pytest.raises(UserError, match="mock:imagenette: all images must have one size"):
            data.train.arrays()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar11", "data set cifar11 is unknown, perhaps .*cifar10 or cifar100; it must"),
        ("imdb_reviews", r"`name` .* with a grey or coloured image .* features are text: "),
        ("mnist/nope", r"cannot open the data set mnist/nope .*; correct the name$"),
        ("coco", "cannot open the data set coco .*; install tensorflow, which it needs$"),
        ("../mnist", r"cannot open the data set ../mnist .*; correct the name$"),
        ("", "cannot open the data set .*; correct the name$"),
    ],
)
def test_names_of_nothing_to_learn_from(name, message, tmp_path):
    """Told before anything would be fetched for them."""
    if name == "coco" and importlib.util.find_spec("tensorflow"):
        pytest.skip("TensorFlow is installed")
    with pytest.raises(UserError, match=message):
        load(name, data_dir=tmp_path / "data")


def test_mock_of_nothing():
    with pytest.raises(UserError, match="the data set nonsense is unknown; it must"):
        load("mock:nonsense")


def test_a_tenth_is_held_out_where_nothing_is_to_be_tested_with(data_dir, tmp_path):
    shutil.copytree(data_dir / "mnist5k", tmp_path / "mnist5k")
    path = tmp_path / "mnist5k" / "1.0.0" / "dataset_info.json"
    info = json.loads(path.read_text())
    info["splits"] = [each for each in info["splits"] if each["name"] == "test"]
    info["splits"][0]["name"] = "train"
    path.write_text(json.dumps(info))
    (old,) = path.parent.glob("mnist5k-test*")
    for each in path.parent.glob("mnist5k-train*"):
        each.unlink()
    old.rename(path.parent / old.name.replace("test", "train"))
    data = load("mnist5k", data_dir=tmp_path)
    assert (len(data.train), len(data.test)) == (900, 100)
    whole = load("mnist5k", data_dir=data_dir).test
    np.testing.assert_array_equal(data.test[0][0], whole[9][0])
    np.testing.assert_array_equal(data.train[9][0], whole[10][0])
    info["splits"][0]["name"] = "other"
    path.write_text(json.dumps(info))
    with pytest.raises(UserError, match=r"mnist5k has no split to train on; it has \['other'\]"):
        load("mnist5k", data_dir=tmp_path)


def test_features_that_are_no_image_and_label(tmp_path):
    image = tfds.features.Image(shape=(4, 4, 3))
    for features in (
        {"image": image},
        {"picture": image, "label": tfds.features.ClassLabel(num_classes=3)},
        {"image": image, "label": tfds.features.Text()},
        {
            "image": tfds.features.Image(shape=(4, 4, 1), dtype=np.uint16),
            "label": tfds.features.ClassLabel(num_classes=3),
        },
    ):
        with pytest.raises(UserError, match=r"`name` \(='some'\) must be .* its features are "):
            describe("some", tfds.features.FeaturesDict(features), tmp_path)


@pytest.mark.parametrize(
    ("name", "splits", "expected"),
    [
        ("imagenet2012", ["test", "train", "validation"], "validation"),  # test has no labels
        ("imagenette", ["train", "validation"], "validation"),
        ("svhn_cropped", ["extra", "test", "train"], "test"),
        ("stl10", ["validation", "test", "train"], "test"),
    ],
)
def test_which_split_is_tested_with(name, splits, expected, monkeypatch):
    monkeypatch.setattr(named, "open_split", lambda builder, split: [{"image": split, "label": 0}])
    builder = SimpleNamespace(name=name, info=SimpleNamespace(splits=splits))
    layout = Layout(name, Path("folder"), "image", "label", (4, 4, 3), is_mask=False)
    opened = [split.encoded(0)[0] for split in named._splits(builder, layout)]
    assert opened == ["train", expected]
