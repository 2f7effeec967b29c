"""Batches from the device and from a stream: one loop, saved in the middle of an epoch too."""

import errno
import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments.commands.command import UserError
from experiments.training import epochs, pictures
from experiments.training.evaluation import results
from experiments.training.loop import Monitoring, fit
from experiments.training.runs import Run

pytestmark = pytest.mark.usefixtures("plain_jax")


def test_stopped_within_an_epoch_a_stream_goes_on_with_the_same_bits(
    tiny_stream, tmp_path, monkeypatch, capfd
):
    assert isinstance(tiny_stream.batches, epochs.Streamed)
    monkeypatch.setattr(pictures, "draw", lambda *arguments: None)
    whole, test = fit(tiny_stream, Run.create(tmp_path / "whole", {}), seed=3)
    assert test["accuracy"] >= 0.7
    advance = tiny_stream.batches.advance

    def advance_and_stop(state, done, key):
        if done == 12:
            os.kill(os.getpid(), signal.SIGTERM)
        return advance(state, done, key)

    run = Run.create(tmp_path / "stopped", {})
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as exit:
        patch.setattr(tiny_stream.batches, "advance", advance_and_stop)
        fit(tiny_stream, run, seed=3, again="this", monitoring=Monitoring(save_seconds=1e-6))
    assert exit.value.code == 0
    told = capfd.readouterr().err
    assert told == "stopped after step 3 of 5 of epoch 3 of 5; go on with: this\n"
    assert {path.name for path in run.checkpoints.iterdir()} > {"11", "12", "13"}
    state, _ = fit(tiny_stream, run, seed=3, resume=True)
    assert "goes on after step 3 of 5 of epoch 3 of 5" in capfd.readouterr().out
    jax.tree.map(np.testing.assert_array_equal, state, whole)
    names = ("epoch", "train_loss", "train_accuracy", "test_loss")
    lines = [[line[name] for name in names] for line in run.metrics()]
    others = [[line[name] for name in names] for line in Run(tmp_path / "whole").metrics()]
    assert lines == others and len(lines) == 5


def test_both_test_every_example_once(tiny_stream, tiny_programs):
    model = tiny_stream.initial_state(0).model
    one, other = (programs.batches.test(model) for programs in (tiny_stream, tiny_programs))
    np.testing.assert_array_equal(one.sums.confusion, other.sums.confusion)
    assert one.sums.confusion.sum() == 10  # in batches of 6
    assert results(one.sums)["loss"] == pytest.approx(results(other.sums)["loss"], rel=1e-5)
    np.testing.assert_allclose(one.outputs, other.outputs, rtol=1e-5, atol=1e-7)
    for array, same in zip(
        tiny_stream.batches.pictured(), tiny_programs.batches.pictured(), strict=True
    ):
        np.testing.assert_array_equal(array, same)


class Broken:
    """Images of which one cannot be read."""

    def __init__(self, images, error):
        self._images, self._error = images, error

    def __len__(self):
        return len(self._images)

    def __getitem__(self, row):
        if row == 17:
            raise self._error
        return self._images[row]


def test_reader_that_fails(tiny_stream, tiny_data, tmp_path, monkeypatch):
    """In a thread of grain's, in the first epoch."""
    monkeypatch.setattr(pictures, "draw", lambda *arguments: None)
    split = tiny_data.train
    error = OSError(errno.EIO, os.strerror(errno.EIO))
    monkeypatch.setattr(split, "_examples", Broken(split._examples, error))
    monitoring = Monitoring(save_seconds=1e-6)
    with pytest.raises(UserError) as error:
        fit(
            tiny_stream,
            Run.create(tmp_path / "run", {}),
            seed=1,
            again="again",
            monitoring=monitoring,
        )
    message = str(error.value)
    assert message.startswith("the data set in nowhere is damaged ([Errno 5] Input/output error")
    assert f"the last good checkpoint is {tmp_path}/run/checkpoints/" in message
    assert message.endswith("of epoch 1 of 5, go on with: again") and error.value.code == 2


DEVICES = """
import functools, os, signal, sys
from pathlib import Path

import jax
jax.config.update("jax_num_cpu_devices", 4)
import numpy as np
from flax import nnx
from experiments.data import Dataset, Split
from experiments.data.split import Layout
from experiments.training.mesh import make_mesh
from experiments.training.runs import Run
from experiments.training.programs import Programs
from experiments.training.recipe import Recipe
from experiments.training.loop import fit
from experiments.training import pictures

parent = Path(sys.argv[1])
pictures.draw = lambda *arguments: None
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (50, 6, 5, 1)).astype(np.uint8)
layout = Layout("tiny", parent, "image", "label", (6, 5, 1), False)
split = Split([{"image": image, "label": image[0, 0, 0] % 3} for image in images], layout)
data = Dataset("tiny", "classification", ("a", "b", "c"), (6, 5, 1), split, split)


def make_model(rngs):
    flatten = lambda images: images.reshape(len(images), -1)
    norm = nnx.BatchNorm(1, rngs=rngs)
    return nnx.Sequential(norm, nnx.Dropout(0.1, rngs=rngs), flatten, nnx.Linear(30, 3, rngs=rngs))


@functools.cache
def compiled(mesh):
    programs = Programs(make_model, data, recipe, mesh=make_mesh(mesh))
    programs.compile()
    return programs


def train(name, mesh, *, stop=None):
    programs = compiled(mesh)
    resume = (parent / name).exists()
    run = Run(parent / name) if resume else Run.create(parent / name, {})
    add = run.add_metrics

    def add_and_stop(epoch, **values):
        add(epoch, **values)
        if epoch == stop:
            os.kill(os.getpid(), signal.SIGTERM)

    run.add_metrics = add_and_stop
    try:
        return fit(programs, run, seed=1, resume=resume)
    except SystemExit as exit:
        assert exit.code == 0


recipe = Recipe(epochs=3, batch_size=8, accumulate=2, ema=0.5, test_batch_size=6)
whole, test = train("whole", "data=4")
assert len(jax.tree.leaves(whole)[1].devices()) == 4
train("moved", "data=4", stop=1)
train("moved", "data=1", stop=2)
moved, again = train("moved", "data=4")
assert len(jax.tree.leaves(moved)[1].devices()) == 4
difference = jax.tree.map(lambda a, b: np.abs(np.asarray(a) - np.asarray(b)).max(), whole, moved)
print(max(jax.tree.leaves(difference)), abs(test["loss"] - again["loss"]))
"""


def test_resumed_on_other_devices(tmp_path):
    command = [sys.executable, "-W", "error", "-c", DEVICES, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    *lines, last = done.stdout.splitlines()
    assert "goes on after epoch 1 of 3" in lines and "goes on after epoch 2 of 3" in lines
    assert max(map(float, last.split())) < 1e-5  # sums in another order, float32
