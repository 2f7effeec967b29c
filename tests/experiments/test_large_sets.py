"""CIFAR-10's and ImageNet's experiments on mock data, with smaller networks."""

import json

import pytest

from experiments import cifar10, command, imagenet
from experiments.trainer import zoo
from jaxcnn import models

pytestmark = pytest.mark.usefixtures("plain_jax")


def test_cifar10(tmp_path, monkeypatch, capsys):
    small = models.CifarSpeedNet, {"widths": (4, 4, 4)}
    monkeypatch.setitem(zoo.CLASSIFIERS, "cifar-speed-net", small)
    options = ("--data", "mock:cifar10", "--epochs", "1", "--batch-size", "32", "--views", "one")
    folders = ("--run", str(tmp_path / "run"), "--data-dir", str(tmp_path / "data"))
    assert command.run("cifar10", {"train": (cifar10.Train, cifar10.main)}, options + folders) == 0
    assert "test accuracy" in capsys.readouterr().out
    saved = json.loads((tmp_path / "run/config.json").read_text())
    assert saved["precision"] == "bfloat16" and saved["augmentation"]["flip"] == "alternating"
    assert (tmp_path / "run/checkpoints").is_dir()


def test_imagenet(tmp_path, monkeypatch, capsys):
    small = models.CifarResNet, {"depth": 8, "widths": (2, 2, 2)}
    monkeypatch.setitem(zoo.CLASSIFIERS, "resnet50", small)
    options = ("--data", "mock:imagenet2012", "--image-size", "16", "12", "--epochs", "1")
    sizes = ("--batch-size", "32", "--test-batch-size", "16", "--warmup", "0.5")
    folders = ("--run", str(tmp_path / "run"), "--data-dir", str(tmp_path / "data"))
    commands = {"train": (imagenet.Train, imagenet.main)}
    assert command.run("imagenet", commands, options + sizes + folders) == 0
    assert "mock:imagenet2012, 96 images to train on" in capsys.readouterr().out
    line = json.loads((tmp_path / "run/metrics.jsonl").read_text())
    assert line["epoch"] == 1 and 0 < line["train_loss"] < 20
