"""The loop over the epochs: what it saves, draws and tells; stopped and resumed."""

import json
import os
import signal

import jax
import numpy as np
import pytest

from experiments.checkpoints import Checkpoints
from experiments.fitting import fit
from experiments.runs import Run

pytestmark = pytest.mark.usefixtures("plain_jax")

EPOCHS = 6


@pytest.fixture
def train(tiny_programs, tiny_data, tmp_path):
    """Trains in a run folder by name, and returns the accuracy."""

    def train(name, *, seed=3, resume=False):
        folder = tmp_path / name
        run = Run(folder) if resume else Run.create(folder, {})
        options = {"epochs": EPOCHS, "seed": seed, "resume": resume, "again": f"again {name}"}
        return fit(tiny_programs, tiny_data, run, **options)

    return train


@pytest.fixture
def restored(tiny_programs, tmp_path):
    """The newest checkpoint of a run folder by name."""

    def restored(name):
        checkpoints = Checkpoints(tmp_path / name / "checkpoints", read_only=True)
        return checkpoints.restore_newest(tiny_programs.initial_state(0)._asdict())

    return restored


def metrics(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    timings = ("seconds", "images_per_second")
    return [{k: v for k, v in json.loads(line).items() if k not in timings} for line in lines]


def stop_after(epoch, monkeypatch):
    """SIGTERM while this epoch is being noted."""
    add_metrics = Run.add_metrics

    def add_and_stop(self, number, **values):
        add_metrics(self, number, **values)
        if number == epoch:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Run, "add_metrics", add_and_stop)


def assert_same_bits(one, other):
    assert one[0] == other[0]
    assert jax.tree.structure(one[1]) == jax.tree.structure(other[1])
    jax.tree.map(np.testing.assert_array_equal, one[1], other[1])


def test_learns_and_writes(train, restored, tmp_path, capsys):
    assert train("run") >= 0.9
    assert "training time" in capsys.readouterr().out
    folder = tmp_path / "run"
    assert [line["epoch"] for line in metrics(folder)] == [1, 2, 3, 4, 5, 6]
    first, last = metrics(folder)[0], metrics(folder)[-1]
    assert last["train_loss"] < 0.7 * first["train_loss"] and last["test_accuracy"] >= 0.9
    assert restored("run")[0] == EPOCHS
    assert sorted(path.name for path in folder.glob("*.png")) == [
        "confusion.png",
        "learning_curves.png",
        "misread.png",
    ]


def test_seed_decides(train, restored):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        train(name, seed=seed)
    assert_same_bits(restored("a"), restored("b"))
    with pytest.raises(AssertionError):
        assert_same_bits(restored("a"), restored("c"))


@pytest.mark.parametrize("damage", [False, True])
def test_resumed_run_ends_with_the_same_bits(
    train, restored, tmp_path, monkeypatch, capsys, damage
):
    accuracy = train("whole")
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as exit:
        stop_after(4, patch)
        train("stopped")
    assert exit.value.code == 128 + signal.SIGTERM
    assert "stopped after epoch 4 of 6; go on with: again stopped" in capsys.readouterr().out
    assert restored("stopped")[0] == 4
    if damage:
        (path,) = (tmp_path / "stopped" / "checkpoints" / "4" / "model").glob("manifest.ocdbt")
        path.write_bytes(path.read_bytes()[:20])
    assert train("stopped", resume=True) == accuracy
    output = capsys.readouterr().out
    assert f"goes on after epoch {3 if damage else 4} of 6" in output
    assert ("checkpoint 4 is damaged and passed over" in output) is damage
    assert_same_bits(restored("stopped"), restored("whole"))
    assert metrics(tmp_path / "stopped") == metrics(tmp_path / "whole")


def test_resuming_a_finished_run_changes_nothing(train, restored, tmp_path):
    accuracy = train("run")
    before = restored("run"), metrics(tmp_path / "run")
    assert train("run", resume=True) == accuracy
    assert_same_bits(restored("run"), before[0])
    assert metrics(tmp_path / "run") == before[1]
    (tmp_path / "run" / "metrics.jsonl").unlink()
    assert train("run", resume=True) == accuracy
