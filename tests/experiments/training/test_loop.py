"""The loop over the epochs: what it saves, draws and tells; stopped and resumed."""

import errno
import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest

from experiments.commands import phases
from experiments.commands.command import UserError
from experiments.training import pictures
from experiments.training.checkpoints import Checkpoints
from experiments.training.loop import Monitoring, fit, to_items
from experiments.training.runs import Run

pytestmark = pytest.mark.usefixtures("plain_jax")

EPOCHS, STEPS = 5, 5


@pytest.fixture
def train(tiny_programs, tmp_path, monkeypatch):
    """Trains in a run folder by name, and returns the accuracy."""

    def train(name, *, seed=3, resume=False, draw=False, **monitoring):
        folder = tmp_path / name
        run = Run(folder) if resume else Run.create(folder, {})
        options = {"seed": seed, "resume": resume, "monitoring": Monitoring(**monitoring)}
        with monkeypatch.context() as patch:
            if not draw:
                patch.setattr(pictures, "draw", lambda *arguments: None)
            return fit(tiny_programs, run, again=f"again {name}", **options)[1]["accuracy"]

    return train


@pytest.fixture
def whole(tiny_run):
    """The folder and the accuracy of a run with seed 3 that nothing happened to."""
    folder, _, test = tiny_run
    return folder, test["accuracy"]


@pytest.fixture
def restored(tiny_programs, tmp_path):
    """The newest checkpoint of a run folder, which may be given by its name."""

    def restored(folder):
        checkpoints = Checkpoints(tmp_path / folder / "checkpoints", read_only=True)
        return checkpoints.restore_newest(to_items(tiny_programs.like))

    return restored


def metrics(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    timings = ("seconds", "images_per_second")
    return [{k: v for k, v in json.loads(line).items() if k not in timings} for line in lines]


def stop_after(epoch, monkeypatch, number=signal.SIGTERM):
    """A signal while this epoch is being noted."""
    add_metrics = Run.add_metrics

    def add_and_stop(self, noted, **values):
        add_metrics(self, noted, **values)
        if noted == epoch:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Run, "add_metrics", add_and_stop)


def assert_same_bits(one, other):
    assert one[0] == other[0]
    one, other = ({k: v for k, v in items.items() if k != "facts"} for _, items in (one, other))
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_learns_and_writes(train, restored, tmp_path):
    phases.spent()
    assert train("run", draw=True, tensorboard=True, profile=True) >= 0.9
    folder = tmp_path / "run"
    (took,) = json.loads((folder / "times.json").read_text())["programs"]
    for kind in took.values():
        assert min(kind["training"], kind["test"], kind["saving"], kind["pictures"]) >= 0
        assert sum(kind.values()) == pytest.approx(2 * kind["all"], abs=0.01) and kind["all"] > 0
    assert [line["epoch"] for line in metrics(folder)] == [1, 2, 3, 4, 5]
    first, last = metrics(folder)[0], metrics(folder)[-1]
    assert last["train_loss"] < 0.7 * first["train_loss"] and last["test_accuracy"] >= 0.9
    assert restored("run")[0] == EPOCHS * STEPS
    assert sorted(path.name for path in folder.glob("*.png")) == [
        "confusion.png",
        "learning_curves.png",
        "misread.png",
    ]
    assert [path.stat().st_size > 500 for path in (folder / "tensorboard").iterdir()] == [True]
    assert list((folder / "profile").rglob("*.trace.json.gz"))


def test_full_disk_of_tensorboard(train, monkeypatch):
    """Which must not be waited for for ever."""
    record_writer = pytest.importorskip("tensorboardX.record_writer")
    write, written = record_writer.RecordWriter.write, []

    def refused(self, data):
        written.append(data)
        if len(written) > 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, data)

    monkeypatch.setattr(record_writer.RecordWriter, "write", refused)
    with pytest.raises(
        UserError, match="cannot write .*No space left on device.*/5, after epoch 1"
    ):
        train("full", tensorboard=True)


def test_seed_decides(train, restored, whole):
    for name, seed in (("same", 3), ("other", 4)):
        train(name, seed=seed)
    assert_same_bits(restored(whole[0]), restored("same"))
    with pytest.raises(AssertionError):
        assert_same_bits(restored(whole[0]), restored("other"))


@pytest.mark.parametrize(
    ("number", "code", "damage"),
    [(signal.SIGTERM, 0, False), (signal.SIGTERM, 0, True), (signal.SIGINT, 130, False)],
)
def test_resumed_run_ends_with_the_same_bits(
    train, restored, whole, tmp_path, monkeypatch, capfd, number, code, damage
):
    folder, accuracy = whole
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as exit:
        stop_after(4, patch, number)
        train("stopped")
    assert exit.value.code == code
    told = capfd.readouterr().err
    assert told == "stopped after epoch 4 of 5; go on with: again stopped\n"
    assert restored("stopped")[0] == 4 * STEPS
    if damage:
        checkpoint = tmp_path / "stopped" / "checkpoints" / str(4 * STEPS)
        (path,) = (checkpoint / "model").glob("manifest.ocdbt")
        path.write_bytes(path.read_bytes()[:20])
    assert train("stopped", resume=True) == accuracy
    output = capfd.readouterr().out
    assert f"goes on after epoch {3 if damage else 4} of 5" in output
    assert (f"checkpoint {4 * STEPS} is damaged and passed over" in output) is damage
    assert_same_bits(restored("stopped"), restored(folder))
    assert metrics(tmp_path / "stopped") == metrics(folder)


def test_resuming_a_finished_run_changes_nothing(train, restored, whole, tmp_path):
    folder, accuracy = whole
    shutil.copytree(folder, tmp_path / "run")
    assert train("run", resume=True) == accuracy
    assert_same_bits(restored("run"), restored(folder))
    assert metrics(tmp_path / "run") == metrics(folder)
    (tmp_path / "run" / "metrics.jsonl").unlink()
    assert train("run", resume=True, draw=True) == accuracy


def test_resuming_before_the_first_checkpoint_starts_anew(train, restored, whole, tmp_path, capsys):
    folder, accuracy = whole
    Run.create(tmp_path / "killed", {})
    assert train("killed", resume=True) == accuracy
    told = capsys.readouterr().out
    assert told.startswith("no checkpoint was saved before: begins with the first step\n")
    assert_same_bits(restored("killed"), restored(folder))


def test_stopped_in_its_last_epoch_a_run_says_so(train, restored, whole, tmp_path, monkeypatch):
    """All is trained and saved; what is left is drawn when it goes on."""
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as exit:
        stop_after(EPOCHS, patch, signal.SIGINT)
        train("stopped", draw=True)
    assert exit.value.code == 130 and not list((tmp_path / "stopped").glob("*.png"))
    assert train("stopped", resume=True, draw=True) == whole[1]
    assert_same_bits(restored("stopped"), restored(whole[0]))
    assert list((tmp_path / "stopped").glob("*.png"))
    assert len(json.loads((tmp_path / "stopped" / "times.json").read_text())["programs"]) == 2
