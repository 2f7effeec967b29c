"""Checkpoints: kept, restored, damaged, of another model."""

import resource
import shutil

import jax
import numpy as np
import optax
import pytest

from experiments.checkpoints import Checkpoints
from experiments.command import UserError

pytestmark = pytest.mark.usefixtures("plain_jax")


def make_state(seed, features=4):
    rng = np.random.default_rng(seed)
    model = {"layer": {"kernel": rng.normal(size=(300, features)), "bias": rng.normal(size=3)}}
    model = jax.device_put(jax.tree.map(np.float32, model))
    return {"model": model, "optimizer": optax.adam(0.1).init(model)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder in which epochs 1 to 4 were saved with two to be kept."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    checkpoints = Checkpoints(folder, keep=2)
    for epoch in range(1, 5):
        checkpoints.save(epoch, make_state(epoch))
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy that may be broken."""
    return shutil.copytree(saved, tmp_path / "checkpoints")


def assert_equal(tree, other):
    assert jax.tree.structure(tree) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def cut(folder, epoch):
    """Cuts the largest file of a checkpoint in the middle."""
    files = [path for path in (folder / str(epoch)).rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])


def test_newest_is_restored_and_older_ones_are_gone(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["3", "4"]
    epoch, state = Checkpoints(folder).restore_newest(make_state(0))
    assert epoch == 4
    assert_equal(state, make_state(4))


def test_model_alone(folder):
    like = {"model": make_state(0)["model"]}
    _, state = Checkpoints(folder, read_only=True).restore_newest(like)
    assert_equal(state, {"model": make_state(4)["model"]})


@pytest.mark.parametrize("read_only", [False, True])
def test_last_whole_one_is_used_and_said(folder, read_only):
    cut(folder, 4)
    said = []
    checkpoints = Checkpoints(folder, read_only=read_only)
    epoch, state = checkpoints.restore_newest(make_state(0), said.append)
    assert epoch == 3
    assert_equal(state, make_state(3))
    assert len(said) == 1 and said[0].startswith("checkpoint 4 is damaged and passed over")
    aside = folder.parent / "damaged-checkpoint-4"
    assert aside.exists() is not read_only and (folder / "4").exists() is read_only


def test_goes_on_after_a_damaged_one(folder):
    for _ in range(2):  # the second time the name of what is set aside is taken
        cut(folder, 4)
        checkpoints = Checkpoints(folder)
        checkpoints.restore_newest(make_state(0), lambda line: None)
        checkpoints.save(4, make_state(4))
        assert checkpoints.restore_newest(make_state(0))[0] == 4
    assert (folder.parent / "damaged-checkpoint-4-2").exists()


def test_none_is_whole(folder):
    cut(folder, 3)
    shutil.rmtree(folder / "4" / "model")
    with pytest.raises(UserError, match="no whole checkpoint in .*start a new run"):
        Checkpoints(folder).restore_newest(make_state(0), lambda line: None)
    assert (folder / "3").exists() and (folder / "4").exists()


def test_other_model(folder):
    with pytest.raises(
        UserError,
        match=r"of another model: layer.kernel is \(300, 4\) there and \(300, 5\) in the model",
    ):
        Checkpoints(folder).restore_newest(make_state(0, features=5))
    like = make_state(0)
    like["model"]["head"] = like["model"].pop("layer")
    with pytest.raises(UserError, match=r"head.bias is absent there and \(3,\) in the model"):
        Checkpoints(folder).restore_newest(like)


def test_full_disk(folder):
    checkpoints = Checkpoints(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            checkpoints.save(5, make_state(5))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    epoch, state = Checkpoints(folder).restore_newest(make_state(0))
    assert epoch == 4
    assert_equal(state, make_state(4))


def test_read_only_wants_a_folder(tmp_path):
    with pytest.raises(UserError, match="is missing; give a run folder"):
        Checkpoints(tmp_path / "absent", read_only=True)
    assert not (tmp_path / "absent").exists()
