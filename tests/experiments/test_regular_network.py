"""A regular network and a convolutional one: equal budgets, shuffled pixels, and a run."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments import regular_network
from experiments.commands import command
from experiments.training import compare, pictures

pytestmark = pytest.mark.usefixtures("plain_jax")


def test_all_have_as_many_parameters():
    counts = {name: compare.parameters(make) for name, make in regular_network.NETWORKS.items()}
    assert counts == {
        "convolutional": 61706, "regular": 61637,
        "convolutional, shuffled": 61706, "regular, shuffled": 61637,
    }  # fmt: skip


def test_pixels_are_shuffled_alike(rng):
    inner = regular_network.regular(nnx.Rngs(0))
    network = regular_network.Shuffled(inner)
    assert sorted(network.order) == list(range(784))
    images = rng.normal(size=(2, 28, 28, 1)).astype(np.float32)
    shuffled = images.reshape(2, 784)[:, list(network.order)].reshape(images.shape)
    np.testing.assert_array_equal(network(jnp.asarray(images)), inner(jnp.asarray(shuffled)))


def test_command(few_digits, tmp_path, monkeypatch, capsys, figures):
    monkeypatch.setattr(pictures, "draw", lambda *arguments: None)  # of each run
    monkeypatch.setattr(regular_network, "NETWORKS", {"regular": regular_network.regular})
    options = ("--epochs", "2", "--repeat", "2", "--run", str(tmp_path / "run"))
    commands = {"train": (regular_network.Options, regular_network.main)}
    assert command.run("regular", commands, (*options, "--data-dir", str(few_digits))) == 0
    out = capsys.readouterr().out
    assert "regular: 61,637 parameters" in out and "mean of 2 seeds" in out
    result = json.loads((tmp_path / "run/results.json").read_text())["regular"]
    lines = [
        json.loads((tmp_path / f"run/regular-{seed}/metrics.jsonl").read_text().splitlines()[-1])
        for seed in (0, 1)
    ]
    assert lines[0] != lines[1]
    np.testing.assert_allclose(result, np.mean([line["test_accuracy"] for line in lines]))
    right, loss = figures["curves"].axes
    np.testing.assert_allclose(right.lines[0].get_ydata()[-1], 100 * result)
    mean = np.mean([line["train_loss"] for line in lines])
    np.testing.assert_allclose(loss.lines[0].get_ydata()[-1], mean)
