"""Run folders."""

import json
import os
import signal
import subprocess
import sys

import pytest

from experiments.commands.command import UserError
from experiments.training.runs import Run, new_folder, newest


def test_create_and_open(tmp_path):
    Run.create(tmp_path / "a" / "b", {"epochs": 3})
    assert Run(tmp_path / "a" / "b").config() == {"epochs": 3}
    environment = json.loads((tmp_path / "a" / "b" / "environment.json").read_text())
    wanted = {"python", "jaxcnn", "jax", "flax", "device", "platform", "cpu_cores"}
    assert wanted <= environment.keys()


def test_metrics_are_replaced_from_an_epoch_on(tmp_path):
    run = Run.create(tmp_path, {})
    for epoch in (1, 2, 3):
        run.add_metrics(epoch, loss=1 / epoch)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "lo')  # as a full disk would leave it
    run.add_metrics(2, loss=7.0)
    assert run.metrics() == [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 7.0}]


def test_broken_metrics(tmp_path):
    run = Run.create(tmp_path, {})
    (tmp_path / "metrics.jsonl").write_text("{nonsense}\n")
    with pytest.raises(UserError, match="cannot read .*metrics.jsonl .*correct or delete it"):
        run.add_metrics(1, loss=2.0)


def test_one_program_at_a_time(tmp_path):
    run = Run.create(tmp_path, {})
    with run.locked():
        with pytest.raises(UserError, match="in use by another program; wait .*--run"):
            with Run(tmp_path).locked():
                pass
    program = """
import filelock, sys
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", program, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match="in use by another program"):
            with run.locked():
                pass
        other.kill()
    assert other.returncode == -signal.SIGKILL and (tmp_path / ".lock").exists()
    with run.locked():
        pass


def test_used_folder_is_kept(tmp_path):
    (tmp_path / "precious").write_text("")
    with pytest.raises(UserError, match="not empty; go on with --resume"):
        Run.create(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to the run folder .*choose another"):
        Run.create(tmp_path / "file" / "run", {})


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied.*choose another"):
        Run.create(tmp_path / "run", {})


def test_no_run_folder(tmp_path):
    with pytest.raises(UserError, match="no run folder"):
        Run(tmp_path)


def test_broken_config(tmp_path):
    run = Run.create(tmp_path, {})
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="cannot read .*config.json"):
        run.config()


def test_newest(tmp_path):
    with pytest.raises(UserError, match="train first with: python -m experiments.some"):
        newest("some", tmp_path)
    for number, name in enumerate(("some-b", "some-c", "some-a", "other-d")):
        folder = tmp_path / name
        (folder / "checkpoints").mkdir(parents=True)
        os.utime(folder / "checkpoints", (number, number))
    (tmp_path / "some-z").mkdir()  # nothing saved yet
    assert newest("some", tmp_path) == tmp_path / "some-a"


def test_new_folder():
    assert new_folder("some", "there").match("there/some-20??????-??????")
