"""What goes wrong while a run is trained: the message, the exit code, and nothing saved is lost."""

import errno
import fcntl
import hashlib
import logging
import os
import resource
import shutil
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.commands import command
from experiments.commands.command import Stuck, UserError
from experiments.training import pictures
from experiments.training.checkpoints import Checkpoints
from experiments.training.loop import fit
from experiments.training.reading import Reader
from experiments.training.recipe import Recipe
from experiments.training.restore import restore
from experiments.training.runs import Run, new_folder, newest

pytestmark = pytest.mark.usefixtures("plain_jax")

DRAW = pictures.draw


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr(pictures, "draw", lambda *arguments: None)


@pytest.fixture
def whole(tiny_run):
    """The last state of a run that nothing happened to."""
    return tiny_run[1]


@pytest.fixture
def train(tiny_programs, tmp_path):
    """Trains in the folder "run" there, or goes on."""

    def train(folder=tmp_path / "run", **options):
        resume = (folder / "config.json").exists()
        run = Run(folder) if resume else Run.create(folder, {})
        return fit(tiny_programs, run, seed=3, resume=resume, again="again", **options)[0]

    return train


def hashes(folder):
    """Of every file of the checkpoints that are called whole."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0].isdigit()
    }


def assert_same_bits(state, other):
    jax.tree.map(np.testing.assert_array_equal, state, other)


def refuse(patch, owner, name, number, where):
    """Lets a function of the system fail where its arguments hold this; text is written in half."""
    function = getattr(owner, name)

    def refused(path, *arguments, **options):
        if where in f"{path} {arguments}":
            if name == "write_text":
                function(path, arguments[0][: len(arguments[0]) // 2])
            raise OSError(number, os.strerror(number), str(path))
        return function(path, *arguments, **options)

    patch.setattr(owner, name, refused)


@pytest.mark.parametrize(
    ("owner", "name", "where", "number"),
    [
        (os, "mkdir", "20.orbax-checkpoint-tmp", errno.ENOSPC),
        (os, "mkdir", "20.orbax-checkpoint-tmp/model", errno.EROFS),
        (os, "rename", "20.orbax-checkpoint-tmp", errno.EDQUOT),
        (Path, "write_text", '"epoch": 4', errno.EFBIG),
        (Path, "write_text", '"epoch": 4', errno.EROFS),
    ],
)
def test_full_disk(train, whole, tmp_path, monkeypatch, owner, name, where, number):
    """In a checkpoint's beginning, middle and end, and in the metrics."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(UserError) as error:
        refuse(patch, owner, name, number, where)
        train()
    message = str(error.value)
    assert message.startswith(f"cannot write to the run folder {run} (") and "\n" not in message
    assert os.strerror(number) in message and "make room; what was saved before is kept" in message
    last = (
        f"the last good checkpoint is {run}/checkpoints/15, after epoch 3 of 5, go on with: again"
    )
    assert message.endswith(last) and error.value.code == 2
    assert {path.name for path in (run / "checkpoints").iterdir() if path.name.isdigit()} == {
        *("5", "10", "15")
    }
    assert not list(run.glob(".*.tmp"))
    assert [line["epoch"] for line in Run(run).metrics()][:3] == [1, 2, 3]
    saved = hashes(run / "checkpoints")
    assert len(saved) > 20
    assert_same_bits(train(), whole)
    after = hashes(run / "checkpoints")
    assert all(after[name] == saved[name] for name in after.keys() & saved.keys())


def test_full_disk_of_the_arrays(train, whole, tmp_path, monkeypatch, capfd, caplog):
    """Which tensorstore writes, several files at once and without Python."""
    caplog.set_level(logging.CRITICAL, logger="absl")  # as `command.run` does
    run, save = tmp_path / "run", Checkpoints.save
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limited(self, step, *arguments):
        if step == 20:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        save(self, step, *arguments)
        self.wait()

    try:
        with monkeypatch.context() as patch, pytest.raises(UserError) as error:
            patch.setattr(Checkpoints, "save", limited)
            train()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    message = str(error.value)
    assert message.startswith(f"cannot write to the run folder {run} (File too large); choose ")
    assert f"the last good checkpoint is {run}/checkpoints/15, after epoch 3 of 5" in message
    assert capfd.readouterr().err == ""
    assert_same_bits(train(), whole)


def test_full_disk_while_drawing(train, whole, tmp_path, monkeypatch):
    run = tmp_path / "run"
    monkeypatch.setattr(pictures, "draw", DRAW)
    with (
        monkeypatch.context() as patch,
        pytest.raises(UserError, match="No space left.*/25, after"),
    ):
        save = Run.save_picture

        def refused(self, name, figure):
            def savefig(path, **options):
                path.write_bytes(b"\x89PNG")
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            figure.savefig = savefig
            save(self, name, figure)

        patch.setattr(Run, "save_picture", refused)
        train()
    assert not list(run.glob("*.png")) and not list(run.glob(".*.tmp"))
    monkeypatch.setattr(Run, "save_picture", lambda *arguments: None)
    assert_same_bits(train(), whole)


def test_killed_at_any_moment_of_a_save(train, whole, tmp_path, monkeypatch, capsys):
    """What a run folder holds at each step of a save, as a kill -9 would leave it, is gone on with.

    A process that is killed leaves the files as they are, so that they are copied instead.
    """
    run, copies, moments = tmp_path / "run", [], []
    alone = threading.RLock()  # nothing else changes the folder while it is copied
    busy = threading.Event()

    def watched(function, name):
        def call(path, *arguments, **options):
            with alone:
                inside = "checkpoints" in str(path) or options.get("dir_fd")
                if inside and not busy.is_set():
                    moments.append(name)
                    if len(moments) > 100 and len(moments) % 5 == 0:  # three checkpoints are there
                        busy.set()
                        copies.append(tmp_path / f"copy{len(copies)}")
                        shutil.copytree(run, copies[-1], copy_function=copy_if_there)
                        busy.clear()
                return function(path, *arguments, **options)

        return call

    def copy_if_there(source, target):
        try:
            shutil.copy(source, target)
        except FileNotFoundError:  # written beside a name of its own and then renamed
            pass

    with monkeypatch.context() as patch:
        for name in ("mkdir", "rename", "remove", "unlink"):
            patch.setattr(os, name, watched(getattr(os, name), name))
        assert_same_bits(train(), whole)
    assert set(moments) == {"mkdir", "rename", "remove", "unlink"}
    assert len(copies) >= 8, len(moments)
    for copy in copies:
        assert_same_bits(train(copy), whole)
    assert "goes on after epoch" in capsys.readouterr().out


def test_clock_that_jumps_back(train, whole, tmp_path, monkeypatch):
    """Nothing depends on it: not the bits, the order of the checkpoints, or which run is newest."""
    clock = iter(range(2_000_000_000, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    monkeypatch.setattr(time, "time_ns", lambda: 10**9 * next(clock))
    runs = tmp_path / "runs"
    for name in ("some-b", "some-a"):
        assert_same_bits(train(runs / name), whole)
        rates = [line["images_per_second"] for line in Run(runs / name).metrics()]
        assert min(rates) > 0
        assert Checkpoints(runs / name / "checkpoints", read_only=True).newest == 25
    os.utime(runs / "some-b" / "checkpoints")  # later than that of the run begun after it
    os.utime(runs / "some-a" / "checkpoints", (1, 1))
    assert newest("some", runs) == runs / "some-a"
    monkeypatch.setattr(time, "strftime", lambda form: "20260101-000000")
    names = []
    for _ in range(3):
        names.append(new_folder("some", runs).name)
        Run.create(runs / names[-1], {})
    first = "some-20260101-000000"
    assert names == [first, f"{first}-2", f"{first}-3"]


def test_worker_that_dies(tiny_data):
    def batches():
        yield 1
        raise RuntimeError("Grain worker process 0 died\nwith a long story")

    reader = Reader(batches(), tiny_data.train, 60)
    assert next(reader) == 1
    message = r"the data set tiny in nowhere cannot be read .*\(Grain worker process 0 died\)"
    with pytest.raises(UserError, match=message):
        next(reader)
    assert list(Reader(iter([1, 2]), tiny_data.train, 60)) == [1, 2]


def test_nothing_is_waited_for_for_ever(tiny_data, monkeypatch, capsys):
    answer = threading.Event()
    reader = Reader(iter(answer.wait, None), tiny_data.train, 0.01)
    with pytest.raises(Stuck, match=r"gave no batch within 0.01 s; .*--data-seconds") as error:
        next(reader)

    def stuck(options):
        raise error.value

    def leave(code):  # at once: the thread that still waits would be waited for
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", leave)
    with pytest.raises(SystemExit) as exit:
        command.run("train", {"train": (Recipe, stuck)}, [])
    assert exit.value.code == 2 and capsys.readouterr().err.startswith("error: the data set tiny")
    answer.set()


@pytest.mark.parametrize(
    "error",
    [
        jax.errors.JaxRuntimeError(
            "RESOURCE_EXHAUSTED: Out of memory allocating 8589934592 bytes."
        ),
        jax.errors.JaxRuntimeError("INTERNAL: std::bad_alloc"),
        MemoryError("Unable to allocate 8.00 GiB for an array"),
    ],
)
def test_out_of_memory(tiny_programs, train, tmp_path, monkeypatch, error):
    advance = tiny_programs.batches.advance

    def exhausted(state, done, key):
        if done == 10:
            raise error
        return advance(state, done, key)

    monkeypatch.setattr(tiny_programs.batches, "advance", exhausted)
    with pytest.raises(UserError) as told:
        train()
    message = str(told.value)
    assert message.startswith(f"out of memory while training ({str(error)[:120]}); the largest")
    assert "of a device: all images 1.5 kB, the output of `norm` for 8 images 960 B, " in message
    assert "all that it computes with " in message
    assert "lower the widths of the network (another --model), --batch-size (=8), " in message
    assert "a larger --accumulate (=1) or --remat or --precision bfloat16" in message
    assert f"{tmp_path}/run/checkpoints/10, after epoch 2 of 5" in message
    assert told.value.code == 2 and "\n" not in message


def test_out_of_memory_while_compiling(tiny_programs, monkeypatch):
    def exhausted(*arguments):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Failed to allocate request")

    monkeypatch.setattr(tiny_programs.batches, "compile", exhausted)
    with pytest.raises(UserError, match="out of memory while compiling .*lower"):
        tiny_programs.compile()
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        with tiny_programs.memory_explained("training"):
            raise jax.errors.JaxRuntimeError("INTERNAL: something else")


def test_one_run_at_a_time_in_a_folder(train, whole, make_tiny_model, tmp_path, monkeypatch):
    train()
    run = Run(tmp_path / "run")
    before = hashes(run.checkpoints)
    with run.locked():
        with pytest.raises(UserError, match="in use by another program; wait for its end"):
            train()
        kernel = restore(run, make_tiny_model).linear.kernel[...]  # as `predict` does
        np.testing.assert_array_equal(kernel, whole.model["params"]["linear"]["kernel"])
    assert hashes(run.checkpoints) == before

    def flock(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    assert_same_bits(train(), whole)  # a file system without locks


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
def test_lock_that_cannot_be_made(train, monkeypatch, number):
    refuse(monkeypatch, os, "open", number, ".lock")
    with pytest.raises(UserError, match=os.strerror(number)):
        train()
