"""`python -m experiments.train`: any network on any data set, its options and the rate finder."""

import contextlib
import dataclasses
import json

import numpy as np
import pytest

from experiments import cifar10, imagenet, lenet, train
from experiments.commands import command
from experiments.commands.command import UserError
from experiments.data import Split, load, scenes, signals
from experiments.training import session, zoo
from experiments.training.augment import Augmentation
from experiments.training.programs import Programs
from experiments.training.recipe import Recipe
from experiments.training.runs import Run
from jaxcnn import models

pytestmark = pytest.mark.usefixtures("plain_jax")

COMMANDS = {
    "train": (train.Train, train.main),
    "find": (train.Find, train.find),
    "predict": (train.Predict, train.predict),
}
QUICK = ("--batch-size", 20, "--test-batch-size", 30)


def run(*arguments):
    return command.run("train", COMMANDS, [str(argument) for argument in arguments])


def refusal(capsys, *arguments):
    """The one message of a command that is refused."""
    with pytest.raises(SystemExit) as exit:
        run(*arguments)
    assert exit.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


def few(count):
    """Loads no more than the first images."""

    def load_few(*arguments, **options):
        data = load(*arguments, **options)
        cut = {
            name: Split(split._examples, split.layout, split._rows[:count])
            for name, split in (("train", data.train), ("test", data.test))
        }
        return dataclasses.replace(data, **cut)

    return load_few


@pytest.fixture(autouse=True)
def few_synthetic(monkeypatch):
    """Hardly more than `few` takes below: to draw them all takes longer than the tests."""
    for module in (scenes, signals):
        monkeypatch.setattr(module, "_SIZES", {"train": 80, "test": 60})


def test_segments_scenes(data_dir, tmp_path, monkeypatch, capsys):
    """A U-Net of one stage and 60 of the scenes."""
    monkeypatch.setattr(session, "load", few(60))
    module, options = zoo.SEGMENTERS["unet-small"]
    small = (module, {**options, "widths": (2,)})
    monkeypatch.setitem(zoo.SEGMENTERS, "unet-small", small)
    folder = tmp_path / "run"
    options = ("--data", "scenes", "--model", "unet-small", "--epochs", 1, "--data-dir", data_dir)
    assert run(*options, *QUICK, "--flip", "random", "--remat", "--run", folder) == 0
    output = capsys.readouterr().out.splitlines()
    assert "data: scenes, 60 images to train on, 60 to test with" in output
    found = [line.split(" 0.")[0].rstrip("0123456789.% ") for line in output if line[:5] == "test "]
    assert found == ["test accuracy of pixels", "test intersection over union"]
    (line,) = Run(folder).metrics()
    assert 0 < line["test_iou"] < line["test_accuracy"] < 1
    assert sorted(path.name for path in folder.glob("*.png")) == [
        "learning_curves.png",
        "masks.png",
    ]
    options = ("--resume", folder, "--model", "unet", "--data-dir", data_dir)
    message = "--model (=unet) cannot be changed in a run that is resumed, where it is unet-small"
    assert message in refusal(capsys, *options)


# The command, what a run of it learned and how, and what is typed to go on with it.
SPEED = session.Subject("mock:cifar10", "cifar-speed-net")
RESIDUAL = session.Subject("mock:imagenet2012", "resnet18", (64, 48))
UNET = session.Subject("scenes", "unet-small", (32, 48))
RESUMED = [
    (train, UNET, ["--batch-size", "64"], "--batch-size (=64)", "20"),
    (train, UNET, ["--shift", "0"], "--shift (=0)", "2"),
    (train, UNET, ["--no-remat"], "--remat (=False)", "True"),
    (train, UNET, ["--precision=float32"], "--precision (=float32)", "bfloat16"),
    (train, UNET, ["--data", "mnist5k"], "--data (=mnist5k)", "scenes"),
    (train, UNET, ["--model", "lenet5"], "--model (=lenet5)", "unet-small"),
    (train, UNET, ["--image_size", "None"], "--image-size (=None)", "(32, 48)"),
    (lenet, session.Subject("mnist5k", "lenet5"), ["--batch-size", "50"],
     "--batch-size (=50)", "20"),
    (cifar10, SPEED, ["--data", "cifar10"], "--data (=cifar10)", "mock:cifar10"),
    (cifar10, SPEED, ["--views", "flip-shift"], "--views (=flip-shift)", "one"),
    (imagenet, RESIDUAL, ["--model", "resnet50"], "--model (=resnet50)", "resnet18"),
    (imagenet, RESIDUAL, ["--image-size", "224", "224"], "--image-size (=(224, 224))", "(64, 48)"),
    (imagenet, RESIDUAL, ["--warmup", "5"], "--warmup (=5.0)", "0.0"),
]  # fmt: skip
KEPT = Recipe(
    epochs=7, batch_size=20, remat=True, precision="bfloat16", schedule="cosine",
    augmentation=Augmentation(shift=2), nonfinite="skip",
)  # fmt: skip


@pytest.fixture
def resume(tmp_path, monkeypatch):
    """Goes on with a run of a command: what is trained then, where nothing is refused."""
    trained = []

    def reached(subject, recipe, options):
        trained.append((subject, recipe, options))
        raise UserError("reached")

    monkeypatch.setattr(session, "make_programs", reached)

    def resume(module, subject, *arguments):
        Run.create(tmp_path / "kept", session.config(subject, KEPT))
        main = getattr(module, "main", None) or module.train
        arguments = ["--resume", str(tmp_path / "kept"), *arguments]
        with pytest.raises(SystemExit):
            command.run("resumed", {"train": (module.Train, main)}, arguments)
        return trained.pop() if trained else None

    return resume


@pytest.mark.parametrize(("module", "subject", "typed", "given", "there"), RESUMED)
def test_what_is_typed_is_typed(module, subject, typed, given, there, resume, capsys):
    """Also where it is what the command would do without it, in a run that does something else."""
    assert resume(module, subject, *typed) is None
    assert capsys.readouterr().err == (
        f"error: {given} cannot be changed in a run that is resumed, where it is {there}; "
        "leave it out\n"
    )


def test_what_may_be_typed_on_resuming(resume, tmp_path):
    same = ("--epochs", "7", "--model", "unet-small", "--shift", "2", "--image-size", "32", "48")
    subject, recipe, options = resume(train, UNET, *same, "--data-dir", "/data", "--tensorboard")
    assert (subject, recipe) == (UNET, KEPT)
    assert str(options.data_dir) == "/data" and options.monitoring.tensorboard


@pytest.mark.parametrize("epochs", [9, 7, 30])  # one of them the default
def test_epochs_may_be_typed_on_resuming(epochs, resume):
    _, recipe, _ = resume(train, UNET, "--epochs", str(epochs))
    assert recipe == dataclasses.replace(KEPT, epochs=epochs)


def test_nonfinite_may_be_typed_on_resuming(resume):
    """At its default too."""
    _, recipe, _ = resume(imagenet, RESIDUAL, "--nonfinite", "stop", "--mesh", "")
    assert recipe == dataclasses.replace(KEPT, nonfinite="stop")


@pytest.mark.parametrize("option", ["--resume", "--repeat", "--save-seconds", "--profile"])
def test_finder_takes_only_what_it_uses(option, capsys):
    with pytest.raises(SystemExit):
        run("find", option, "1")
    assert option in capsys.readouterr().err


def test_finder(data_dir, tmp_path, monkeypatch, capsys):
    """Of a network with one convolution."""
    small = {"convs": 1, "stages": 1, "hidden": 0}
    monkeypatch.setitem(zoo.CLASSIFIERS, "pattern-cnn", (models.PatternCNN, small))
    folder = tmp_path / "rates"
    options = ("--data", "digits8x8", "--model", "pattern-cnn", "--data-dir", data_dir)
    assert run("find", *options, "--steps", 60, "--highest", 10.0, "--run", folder) == 0
    assert "rates: steepest: " in capsys.readouterr().out
    found = json.loads((folder / "rates.json").read_text())
    np.testing.assert_allclose([found["rates"][0], found["rates"][-1]], [1e-6, 10])
    losses = found["losses"]
    assert len(losses) == 60 and min(losses) < 0.9 * losses[0] < 0.9 * losses[-1]
    assert (folder / "rates.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "--epochs (=0) must be 1 or more"),
        (["--learning-rate", "0"], "--learning-rate (=0.0) must be above 0"),
        (
            ["--warmup", "30", "--schedule", "cosine"],
            "--warmup (=30.0) must be 0 or more",
        ),
        (["--warmup", "1"], "--warmup (=1.0) is part of one-cycle"),
        (["--momentum", "1"], "--momentum (=1.0) must be 0 or more and below 1"),
        (["--ema", "1"], "--ema (=1.0) must be 0 or more and below 1"),
        (["--accumulate", "0"], "--accumulate (=0) must be 1 or more"),
        (["--accumulate", "3"], "--accumulate (=3) must divide the batch"),
        (["--test-batch-size", "0"], "--test-batch-size (=0) must be 1 or more"),
        (["--save-seconds", "0"], "--save-seconds (=0.0) must be above 0"),
        (["--mixup", "-1"], "--mixup (=-1.0) must be 0"),
        (["find", "--lowest", "2"], "--lowest (=2.0) must be above 0 and below --highest"),
        (["find", "--steps", "2"], "--steps (=2) must be 10 or more"),
        (["--resume", "absent"], "absent is no run folder"),
        (["--data", "mnist6k"], "mnist6k"),
        (["--model", "lenet6"], "--model (=lenet6) is unknown, perhaps lenet5"),
        (["--data", "scenes", "--model", "lenet5"], "segmentation it must be one of dilated-c"),
        (["--data", "signals", "--model", "simple-cnn"], "signals it must be one of pattern-cnn"),
        (["--data", "signals", "--model", "resnet18"], "signals it must be one of pattern-cnn"),
        (["predit"], "'predit' is no command of train, perhaps predict; it has train, find, pre"),
        (["--data", "scenes", "--model", "unet", "--mixup", "0.2"], "does not go with masks"),
        (["--data", "signals", "--views", "flip", "--model", "pattern-cnn"], "is for images"),
        (["--mesh", "data=99"], "--mesh (=data=99) takes 99 devices"),
        (["--data", "scenes", "--model", "unet-small", "--image-size", "0", "4"], "--image-size"),
        (["--model", "vgg11", "--batch-size", "5000"], "--batch-size (=5000) must be at most"),
    ],
)
def test_bad_options(arguments, message, data_dir, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert message in refusal(capsys, *arguments, "--data-dir", data_dir)
    assert not list(tmp_path.iterdir())


def test_help_lists_data_sets_and_networks(capsys):
    with pytest.raises(SystemExit):
        run("--help")
    shown = capsys.readouterr().out
    for name in ("signals", *zoo.CLASSIFIERS, *zoo.SEGMENTERS):
        assert name in shown


@pytest.mark.parametrize("error", [UserError("no memory"), KeyboardInterrupt()])
def test_failed_start_leaves_no_folder(error, data_dir, tmp_path, capsys, monkeypatch):
    def fail(self):
        assert (tmp_path / "runs/new-seed1/config.json").exists()
        raise error

    monkeypatch.setattr(Programs, "compile", fail)
    options = ("--data", "digits8x8", "--model", "pattern-cnn", "--data-dir", data_dir)
    with pytest.raises(SystemExit) if isinstance(error, UserError) else contextlib.nullcontext():
        assert run(*options, "--repeat", 2, "--run", tmp_path / "runs/new") == 130
    assert not list(tmp_path.iterdir())


def test_network_that_does_not_take_the_images(data_dir, tmp_path, capsys):
    options = ("--data", "digits8x8", "--data-dir", data_dir, "--run", tmp_path / "run")
    assert "the network cannot see images (8, 8, 1): LeNet5: " in refusal(capsys, *options)
    assert not (tmp_path / "run").exists()
