"""Files from strangers: each is refused in one line, within bounds, and nothing else happens.

One test a file of the corpus in `hostile/`; the last are of names and numbers.
"""

import contextlib
import dataclasses
import faulthandler
import functools
import hashlib
import os
import re
import resource
import shutil
import stat
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from experiments import lenet, train
from experiments.commands import command
from experiments.commands.command import UserError
from experiments.data import load
from experiments.data.split import Layout
from experiments.data.tables import read_table
from experiments.training import epochs
from experiments.training import predict as prediction
from experiments.training.checkpoints import Checkpoints
from experiments.training.restore import restore
from experiments.training.runs import Run
from experiments.training.session import Subject, config
from jaxcnn import models
from tests.experiments.hostile import inputs
from tests.experiments.hostile.corpus import FILES
from tests.experiments.hostile.makers import TABLE, WEIGHTS

pytestmark = pytest.mark.usefixtures("plain_jax")

MOST_MEMORY = 2**27  # bytes that become resident while a file is refused: 128 MiB
MOST_DATA = 2**31  # bytes after which a reader that goes wrong is told that there are no more
MOST_SECONDS = 60  # after which a reader that waits without end is ended; none needs a second
MOST_LETTERS = 2500


@dataclasses.dataclass(frozen=True)
class Nothing:
    """No options."""


@functools.cache
def small():
    """A network whose weights torchvision has names for; it has shapes alone."""
    make = functools.partial(models.ConvNeXtTiny, 3, depths=(1,), widths=(4,))
    return nnx.eval_shape(lambda: make(stochastic_depth=0.0, rngs=nnx.Rngs(0)))


def linear(rngs):
    return nnx.Linear(3, 2, rngs=rngs)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the makers damage: a run folder with a checkpoint, a prepared data set, weights."""
    folder = tmp_path_factory.mktemp("whole")
    run = Run.create(folder / "run", config(Subject("digits8x8", "lenet5"), lenet.RECIPE))
    run.save_json("inputs", inputs.INPUTS)
    run.add_metrics(1, loss=1.0)
    params = {"bias": np.zeros(2, np.float32), "kernel": np.zeros((3, 2), np.float32)}
    state = {"model": {"params": jax.device_put(params), "stats": {}}}
    with Checkpoints(run.checkpoints) as checkpoints:
        checkpoints.save(7, state, {"seed": 0, "position": None}, 0.5)
    load("digits8x8", data_dir=folder / "data")
    model = nnx.clone(small())
    nnx.update(model, jax.tree.map(lambda a: np.ones(a.shape, a.dtype), nnx.state(model)))
    (folder / "weights").mkdir()
    models.save_torch(model, folder / WEIGHTS)
    (folder / "outside").mkdir()
    (folder / "outside/precious").write_text("of somebody else")
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(whole, tmp_path / "given")


def resume(folder):
    train.main(train.Train(resume=folder / "run", data_dir=folder / "data").defaults())


def measure(folder):
    Run(folder / "run").add_metrics(2, loss=0.5)


def restored(folder):
    restore(Run(folder / "run"), linear)


def weights(folder):
    try:
        models.load_torch(small(), folder / WEIGHTS)
    except (ValueError, FileNotFoundError) as error:
        assert str(error).startswith("load_torch: ") and str(error).isprintable()
        raise UserError(str(error)) from None


def predict(folder):
    return lenet.predict(lenet.Predict((folder / "digit.png",), run=folder / "run"))


def examples(folder):
    load("digits8x8", data_dir=folder / "data").test.arrays()


def table(folder):
    read_table("mnist5k", folder / TABLE, 28, [500] * 10)


READERS = {
    "resume": resume,
    "measure": measure,
    "restore": restored,
    "load_torch": weights,
    "predict": predict,
    "load": examples,
    "read_table": table,
}


def listing(folder):
    """What there is, by its path: the hash of a file, where a link leads, or the kind of thing."""
    found = {}
    for parent, folders, names in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *names)):
            status = path.lstat()
            what = stat.S_IFMT(status.st_mode), None
            if path.is_symlink():
                what = what[0], os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                small = status.st_size < 2**24
                digest = hashlib.sha256(path.read_bytes()).hexdigest() if small else ""
                what = what[0], status.st_size, status.st_mtime_ns, digest
            found[os.path.relpath(path, folder)] = what
    return found


def status(name):
    """Bytes that Linux reports of this process; None elsewhere."""
    with contextlib.suppress(OSError):
        found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return found and 1024 * int(found[1])


@contextlib.contextmanager
def bounded():
    """Holds what runs inside to its share of memory, and ends it should it wait."""
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    before = status("VmRSS")
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        resource.setrlimit(resource.RLIMIT_DATA, (status("VmData") + MOST_DATA, limits[1]))
    except (OSError, TypeError):  # another system, or one that does not tell
        before = None
    faulthandler.dump_traceback_later(MOST_SECONDS, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_DATA, limits)
    if before is not None:
        assert status("VmHWM") - before < MOST_MEMORY


def refusal(read, capsys):
    """What a command says of a file that it refuses: one line that no terminal obeys, and code 2.

    Returns:
      That line, behind what was told before it.
    """
    try:
        code = command.run("program", {"read": (Nothing, lambda _: read())}, [])
    except SystemExit as exit:
        code = exit.code
    output, errors = capsys.readouterr()
    assert code == 2
    assert errors.startswith("error: ") and errors.endswith("\n") and errors[:-1].isprintable()
    assert len(errors) < MOST_LETTERS
    return output.replace("\n", " ") + errors[:-1]


@pytest.mark.parametrize("name", FILES)
def test_refused(name, folder, capsys, monkeypatch):
    case = FILES[name]
    monkeypatch.chdir(folder)
    if case.reader == "predict":  # the network comes first, and is as good as any
        monkeypatch.setattr(prediction, "restore", lambda *arguments: linear)
    given = case.make(folder)
    read = functools.partial(READERS.get(case.reader, lambda _: decode(given)), folder)
    before = listing(folder)
    with bounded():
        told = refusal(read, capsys)
    assert re.search(case.message, told), told
    after = listing(folder)
    assert {path: after.get(path) for path in before} == before
    assert all(path.startswith("run/") for path in after.keys() - before.keys())


def decode(example):
    """An image and its label as the files of a data set hold them."""
    layout = Layout("some", Path("folder"), "image", "label", (8, 8, 1), False, classes=10)
    layout.decode(*example)


def test_what_is_whole_is_read(folder):
    for read in (restored, weights, examples, measure):
        read(folder)


def test_names_of_files_do_not_reach_the_terminal(folder, capsys, monkeypatch):
    one = jax.nn.one_hot(np.array([0]), 10) * 9
    monkeypatch.setattr(prediction, "restore", lambda *arguments: lambda images: one)
    names = (b"\x1b[31m\n0: 7 (99 %)", b"\xff", b"a" * 300)
    paths = [folder / os.fsdecode(name) for name in names]
    for path in paths[:2]:
        Image.fromarray(np.uint8(255 * np.eye(9))).save(path, "png")
    lenet.predict(lenet.Predict((*paths, folder / "no\x07where"), run=folder / "run"))
    output, errors = capsys.readouterr()
    hostile, other = output.splitlines()
    assert hostile == rf"{folder}/\x1b[31m\n0: 7 (99 %): 0 (99.89%), or 9 (0.01%)"
    assert other == rf"{folder}/\udcff: 0 (99.89%), or 9 (0.01%)"
    long, absent = errors.splitlines()
    assert "the image cannot be read" in long and "File name too long" in long
    assert r"no\x07where: no such file" in absent


@pytest.mark.parametrize("position", [{}, [], 7, {"next_index": "x"}, {"next_index": -5}])
def test_place_in_the_data_that_is_none(position, tiny_data, tiny_recipe):
    stream = types.SimpleNamespace(
        _recipe=tiny_recipe, _share=1, _dataset=tiny_data, _options={}, patience=1
    )
    with pytest.raises(UserError, match="does not say where its run was in the data .*; move it"):
        epochs.Streamed.start(stream, 0, position)
