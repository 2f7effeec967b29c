"""Features of some digits carried to others: the tasks, and a run of the command."""

import dataclasses
import json

import numpy as np
import pytest

from experiments import fine_tuning, train
from experiments.commands import command
from experiments.data import load
from experiments.training import pictures
from experiments.training.runs import Run

pytestmark = pytest.mark.usefixtures("plain_jax")


def test_tasks_hold_their_digits_and_no_others(data_dir):
    data = load("mnist5k", data_dir=data_dir)
    few = fine_tuning.task(data, 5, 3)
    assert few.classes == ("5", "6", "7", "8", "9")
    images, labels = few.train.arrays()
    assert sorted(labels) == sorted([*range(5)] * 3) and len(few.test) == 500
    every, digits = data.train.arrays()
    for image, label in zip(images, labels, strict=True):
        (row,) = np.flatnonzero((every == image).all((1, 2, 3)))[:1]
        assert digits[row] == label + 5
    other, _ = fine_tuning.task(data, 5, 3, seed=1).train.arrays()
    assert (other != images).any()


def test_command_and_the_trainer_begin_from_the_weights(
    data_dir, tmp_path, monkeypatch, capsys, figures
):
    pytest.importorskip("safetensors")
    monkeypatch.setattr(pictures, "draw", lambda *arguments: None)  # of each run
    first = dataclasses.replace(fine_tuning.FIRST, epochs=1, learning_rate=1e-3)
    monkeypatch.setattr(fine_tuning, "FIRST", first)
    folder, at = tmp_path / "run", ("--data-dir", str(data_dir))
    options = ("--epochs", "1", "--repeat", "1", "--few", "4", "--run", str(folder), *at)
    commands = {"train": (fine_tuning.Options, fine_tuning.main)}
    assert command.run("fine_tuning", commands, options) == 0
    results = json.loads((folder / "results.json").read_text())
    assert list(results) == ["from scratch", "features frozen", "features at a tenth"]
    assert [line.get_label() for line in figures["curves"].axes[0].lines] == list(results)
    frozen = Run(folder / "features-frozen-0").config()
    assert frozen["freeze"] == "features" and frozen["weights"] == str(folder / "first.safetensors")
    slow = Run(folder / "features-at-a-tenth-0").config()
    assert slow["head_learning_rate"] == 10 * slow["learning_rate"]

    capsys.readouterr()
    options = ["--model", "simple-cnn", "--weights", f"{folder}/first.safetensors", *at]
    bad = (*options, "--freeze", "feature", "--run", str(tmp_path / "bad"))
    commands = {"train": (train.Train, train.main)}
    with pytest.raises(SystemExit):
        command.run("train", commands, bad)
    assert "--freeze (=feature) must be one of classifier, features" in capsys.readouterr().err
    options[1] = "lenet5"
    with pytest.raises(SystemExit):
        command.run("train", commands, (*options, "--run", str(tmp_path / "bad")))
    assert "--weights: load_torch: `weights` must hold what LeNet5" in capsys.readouterr().err
    assert not (tmp_path / "bad").exists()
