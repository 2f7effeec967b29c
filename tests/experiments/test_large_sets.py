"""CIFAR-10's and ImageNet's experiments on mock data, with smaller networks."""

import json

import pytest
from flax import nnx

from experiments import cifar10, imagenet
from experiments.commands import command
from experiments.training import pictures, zoo
from jaxcnn import models, nn

pytestmark = pytest.mark.usefixtures("plain_jax")


class Whitened(models.CifarSpeedNet):
    """The speed network without its blocks, whose gradients take a while to compile."""

    def __init__(self, num_classes: int = 10, *, rngs, dtype=None):
        super().__init__(num_classes, widths=(24, 24, 24), rngs=rngs, dtype=dtype)
        whitening = self.features.whitening
        self.features = nn.Chain(whitening=whitening, norm=nn.batch_norm(24, rngs=rngs))
        fc = nnx.Linear(24, num_classes, rngs=rngs)
        self.classifier = nn.Chain(pool=self.classifier.pool, fc=fc)


def test_cifar10(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pictures, "draw", lambda *arguments: None)  # the next test draws
    monkeypatch.setitem(zoo.CLASSIFIERS, "cifar-speed-net", (Whitened, {}))
    options = ("--data", "mock:cifar10", "--epochs", "1", "--batch-size", "32", "--views", "one")
    folders = ("--run", str(tmp_path / "run"), "--data-dir", str(tmp_path / "data"))
    assert command.run("cifar10", {"train": (cifar10.Train, cifar10.main)}, options + folders) == 0
    assert "test accuracy" in capsys.readouterr().out
    saved = json.loads((tmp_path / "run/config.json").read_text())
    assert saved["precision"] == "bfloat16" and saved["augmentation"]["flip"] == "alternating"
    assert (tmp_path / "run/checkpoints").is_dir()


def test_imagenet(tmp_path, monkeypatch, capsys):
    small = models.SimpleCNN, {"widths": (4,)}
    monkeypatch.setitem(zoo.CLASSIFIERS, "resnet50", small)
    options = ("--data", "mock:imagenet2012", "--image-size", "16", "12", "--epochs", "1")
    sizes = ("--batch-size", "32", "--test-batch-size", "16", "--warmup", "0.5")
    folders = ("--run", str(tmp_path / "run"), "--data-dir", str(tmp_path / "data"))
    commands = {"train": (imagenet.Train, imagenet.main)}
    assert command.run("imagenet", commands, options + sizes + folders) == 0
    assert "mock:imagenet2012, 96 images to train on" in capsys.readouterr().out
    line = json.loads((tmp_path / "run/metrics.jsonl").read_text())
    assert line["epoch"] == 1 and 0 < line["train_loss"] < 20
