"""The story in `experiments/README.md`, typed command for command."""

import os
import pathlib
import re
import runpy
import shlex
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from experiments.data import load
from experiments.export import function, trained
from experiments.training.runs import Run

ROOT = pathlib.Path(__file__).parents[2]
# What `load.py` may do without, and must.
ALONE = """
import runpy, sys
for name in ("jaxcnn", "flax", "optax", "orbax", "safetensors", "experiments"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
pytestmark = pytest.mark.usefixtures("plain_jax")


def told():
    """(command, lines that it prints) for each of the story."""
    text = (ROOT / "experiments/README.md").read_text()
    (block,) = re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for part in block.removeprefix("$ ").split("\n$ "):
        typed, *lines = part.strip().splitlines()
        yield shlex.split(typed), lines


def without_numbers(line):
    return re.sub(r"\d[\d.,]*(e[-+]\d+)?", "#", line)


def typed(words, data_dir, monkeypatch, capsys):
    """Does what a shell would: in a process of its own where that must begin otherwise."""
    environment = dict(os.environ)
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    assert words.pop(0) == "python"
    if words[0] != "-m":
        return printed_by(["-c", ALONE, *words], environment)
    if words[1] == "experiments.train" and words[2] != "predict":
        words += ["--data-dir", str(data_dir)]
    if environment != os.environ:
        return printed_by(words, environment)
    monkeypatch.setattr(sys, "argv", words[1:])
    monkeypatch.delitem(sys.modules, words[1], raising=False)
    with pytest.raises(SystemExit) as exit:
        runpy.run_module(words[1], run_name="__main__")
    assert not exit.value.code
    return capsys.readouterr().out


def printed_by(words, environment):
    program = [sys.executable, *words]
    done = subprocess.run(program, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_story(tmp_path, data_dir, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    test = load("digits8x8", data_dir=data_dir).test
    images = np.stack([test[row][0] for row in range(3)])
    np.save("images.npy", images)
    Image.fromarray(images[0, ..., 0]).save("digit.png")
    count = 0
    for words, lines in told():
        printed = iter(
            map(without_numbers, typed(words, data_dir, monkeypatch, capsys).splitlines())
        )
        for line in map(without_numbers, lines):
            assert line in printed, line  # in this order; what lies between is not shown
        count += 1
    assert count == 5
    run = Run(pathlib.Path("runs/story"))
    assert [line["epoch"] for line in run.metrics()] == [1, 2, 3, 4]
    assert run.config()["extended"] == [{"epochs": 2, "until_step": 44}]
    assert list(run.folder.glob("tensorboard/*")) and list(run.folder.rglob("*.trace.json.gz"))
    there = np.load("logits.npy")  # written by the program that had JAX alone
    np.testing.assert_array_equal(there, jax.jit(function(trained(run.folder)))(images))
