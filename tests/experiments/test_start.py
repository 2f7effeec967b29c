"""The time to the first step: `lenet` itself is timed, and its peer is the same network."""

import sys

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from experiments.benchmark import plain_lenet, start
from experiments.commands.command import UserError
from experiments.training.epochs import OnDevice
from experiments.training.programs import Programs
from jaxcnn import models


def test_the_peer_trains_the_same_network():
    def step():
        model = plain_lenet.LeNet5(nnx.Rngs(0))
        optimizer = nnx.Optimizer(model, optax.adamw(3e-3), wrt=nnx.Param)
        images, labels = np.zeros((2, 28, 28, 1), np.float32), np.zeros(2, np.int32)
        return plain_lenet.train_step(model, optimizer, images, labels), nnx.state(model)

    with jax.numpy_dtype_promotion("standard"), jax.enable_x64(False):
        loss, plain = nnx.eval_shape(step)
        ours = nnx.state(nnx.eval_shape(lambda: models.LeNet5(rngs=nnx.Rngs(0))))
    assert loss.shape == ()
    shapes = [sorted(leaf.shape for leaf in jax.tree.leaves(state)) for state in (plain, ours)]
    assert shapes[0] == shapes[1]


def test_the_first_step_of_lenet_is_timed(few_digits, tmp_path, monkeypatch, capsys):
    steps = []

    def advance(self, state, done, key):
        steps.append((int(state.step), done))
        return state, done, None

    monkeypatch.setattr(OnDevice, "advance", advance)
    monkeypatch.setattr(Programs, "compile", lambda self: setattr(self, "compile_seconds", 0.0))
    options = f'"--data-dir", "{few_digits}", "--epochs"'
    monkeypatch.setattr(sys, "argv", ["program", str(tmp_path / "run")])
    with pytest.raises(SystemExit):
        exec(start.OURS.replace('"--epochs"', options), {"sys": sys})
    assert steps == [(0, 0)]
    assert float(capsys.readouterr().out.split("\n")[-2]) > 0


def test_table(monkeypatch, capsys):
    times = iter([9.0, 10.0, 11.0, 3.0, 9.5, 4.0, 5.0, 9.7, 4.4, 3.1, 9.6, 4.2])
    monkeypatch.setattr(start, "_seconds", lambda *arguments: next(times))
    start.main(start.Options(rounds=3))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == [
        "| python -m experiments.lenet | 9.0 | 3.1 |",
        "| plain Flax | 10.0 | 9.6 |",
        "| plain Flax, JAX's cache turned on | 11.0 | 4.2 |",
    ]


def test_a_program_that_fails_is_told(tmp_path):
    with pytest.raises(UserError, match="a program ended with 3: no such"):
        start._seconds("print('no such', file=sys.stderr); sys.exit(3)", tmp_path, False, 0)
