"""The chapter's steps on a few digits."""

import json

import numpy as np
import pytest
from flax import nnx

from experiments import fastai
from experiments.commands import command
from jaxcnn.models import SimpleCNN

pytestmark = pytest.mark.usefixtures("plain_jax")


def test_kernels_made_by_hand_are_not_learned(rng):
    kernels = np.asarray(list(fastai.KERNELS.values()), np.float32)
    network = fastai.ByHand(kernels, rngs=nnx.Rngs(0))
    assert network(np.zeros((2, 28, 28, 1), np.float32)).shape == (2, 2)
    learned = nnx.to_flat_state(nnx.state(network, nnx.Param))
    assert [path for path, _ in learned] == [("linear", "bias"), ("linear", "kernel")]
    images = rng.integers(0, 255, (6, 28, 28, 1))
    kept, labels = fastai._only(images, np.array([7, 1, 3, 3, 7, 0]), (3, 7))
    assert labels.tolist() == [1, 0, 0, 1]
    np.testing.assert_array_equal(kept, images[[0, 2, 3, 4]])


def shallow(classes=10, *, widths=(), **options):
    """The chapter's network with one convolution before the last."""
    return SimpleCNN(classes, widths=(6,), **options)


def test_command(few_digits, tmp_path, monkeypatch, capsys, figures):
    kept = {name: fastai.STEPS[name] for name in ("batch norm",)}
    monkeypatch.setattr(fastai, "STEPS", kept)
    monkeypatch.setattr(fastai, "SimpleCNN", shallow)
    options = ("--epochs", "1", "--run", str(tmp_path / "run"), "--data-dir", str(few_digits))
    assert command.run("fastai", {"read": (fastai.Options, fastai.main)}, options) == 0
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert list(results) == ["edges by hand", "threes, sevens", *kept]
    assert results["edges by hand"] > 0.7 and "edges by hand    test acc" in capsys.readouterr().out
    kernels = [ax.images[0].get_array() for ax in figures["edges"].axes[1:5]]
    np.testing.assert_array_equal(kernels, list(fastai.KERNELS.values()))
    loss = figures["losses"].axes[0].lines[0].get_ydata()
    assert len(loss) and np.isfinite(loss).all()
    counts, zeros = figures["activations_batch_norm"].axes[:2]
    assert counts.get_title() == "conv1" and counts.images[0].get_array().any()
    assert 0 < zeros.lines[0].get_ydata()[-1] < 100
