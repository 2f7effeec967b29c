"""Checkpoints: kept, restored, damaged, of another model."""

import gc
import resource
import shutil

import jax
import numpy as np
import optax
import pytest

from experiments.commands.command import UserError
from experiments.training.checkpoints import Checkpoints

pytestmark = pytest.mark.usefixtures("plain_jax")


INIT = jax.jit(optax.adam(0.1).init)


def make_state(seed, features=4):
    rng = np.random.default_rng(seed)
    model = {"layer": {"kernel": rng.normal(size=(300, features)), "bias": rng.normal(size=3)}}
    model = jax.device_put(jax.tree.map(np.float32, model))
    return {"model": model, "training": {"optimizer": INIT(model)}}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder in which steps 1 to 5 were saved with two to be kept; the first two were best."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    checkpoints = Checkpoints(folder, keep=2)
    for step, score in ((1, 0.9), (2, 0.9), (3, 0.5), (4, 0.6), (5, None)):
        checkpoints.save(step, make_state(step), {"seed": step}, score)
    checkpoints.wait()
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy that may be broken."""
    return shutil.copytree(saved, tmp_path / "checkpoints")


def assert_equal(tree, other):
    tree = {name: value for name, value in tree.items() if name != "facts"}
    assert jax.tree.structure(tree) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def cut(folder, epoch):
    """Cuts the largest file of a checkpoint in the middle."""
    files = [path for path in (folder / str(epoch)).rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])


def test_newest_is_restored_and_the_best_stays(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["2", "4", "5"]
    step, state = Checkpoints(folder).restore_newest(make_state(0))
    assert step == 5 and state["facts"] == {"seed": 5, "score": None}
    assert_equal(state, make_state(5))
    step, state = Checkpoints(folder, read_only=True).restore_best(make_state(0))
    assert step == 2  # of two that are equally good, the newer
    assert_equal(state, make_state(2))


def test_saving_goes_on_while_the_state_changes(folder):
    checkpoints = Checkpoints(folder, keep=2)
    checkpoints.save(6, make_state(6), {})
    checkpoints.save(7, make_state(7), {}, 0.95)
    checkpoints.wait()
    assert sorted(path.name for path in folder.iterdir()) == ["6", "7"]
    assert_equal(checkpoints.restore_best(make_state(0))[1], make_state(7))


def test_model_alone(folder):
    like = {"model": make_state(0)["model"]}
    _, state = Checkpoints(folder, read_only=True).restore_newest(like)
    assert_equal(state, {"model": make_state(5)["model"]})


@pytest.mark.parametrize("read_only", [False, True])
def test_last_whole_one_is_used_and_said(folder, read_only):
    cut(folder, 5)
    said = []
    checkpoints = Checkpoints(folder, read_only=read_only)
    step, state = checkpoints.restore_newest(make_state(0), said.append)
    assert step == 4
    assert_equal(state, make_state(4))
    assert len(said) == 1 and said[0].startswith("checkpoint 5 is damaged and passed over")
    aside = folder.parent / "damaged-checkpoint-5"
    assert aside.exists() is not read_only and (folder / "5").exists() is read_only


@pytest.mark.parametrize(
    "name",
    [
        "_CHECKPOINT_METADATA",
        "facts/metadata",
        "model/_METADATA",
        "training/manifest.ocdbt",
    ],
)
def test_any_file_may_be_empty(folder, name):
    """The state is right, or the one before is taken."""
    path = folder / "4" / name
    assert path.is_file()
    path.write_bytes(b"")
    shutil.rmtree(folder / "5")
    step, state = Checkpoints(folder).restore_newest(make_state(0), lambda line: None)
    assert step in (2, 4)
    assert_equal(state, make_state(step))


def test_goes_on_after_a_damaged_one(folder):
    for _ in range(2):  # the second time the name of what is set aside is taken
        cut(folder, 5)
        checkpoints = Checkpoints(folder)
        checkpoints.restore_newest(make_state(0), lambda line: None)
        checkpoints.save(5, make_state(5), {})
        checkpoints.wait()
        assert checkpoints.restore_newest(make_state(0))[0] == 5
    assert (folder.parent / "damaged-checkpoint-5-2").exists()


def test_none_is_whole(folder):
    for step in (2, 4):
        cut(folder, step)
    shutil.rmtree(folder / "5" / "model")
    with pytest.raises(UserError, match="no whole checkpoint in .*start a new run"):
        Checkpoints(folder).restore_newest(make_state(0), lambda line: None)
    assert all((folder / name).exists() for name in "245")


def test_other_model(folder):
    with pytest.raises(
        UserError,
        match=r"of another model: layer.kernel is \(300, 4\) float32 there and \(300, 5\) float32",
    ):
        Checkpoints(folder).restore_newest(make_state(0, features=5))
    like = make_state(0)
    like["model"]["head"] = like["model"].pop("layer")
    with pytest.raises(UserError, match=r"head.bias is absent there and \(3,\) float32 in the"):
        Checkpoints(folder).restore_newest(like)


# Orbax's thread leaves coroutines behind, which Python notices when it collects them: here.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_full_disk(folder):
    checkpoints = Checkpoints(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            checkpoints.save(6, make_state(6), {})
            checkpoints.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        del checkpoints
        gc.collect()
    step, state = Checkpoints(folder).restore_newest(make_state(0))
    assert step == 5
    assert_equal(state, make_state(5))


def test_leftovers_of_a_killed_save_are_cleared(folder):
    (folder / "6.orbax-checkpoint-tmp").mkdir()
    checkpoints = Checkpoints(folder)
    assert checkpoints.restore_newest(make_state(0))[0] == 5
    checkpoints.save(6, make_state(6), {})
    checkpoints.wait()
    assert sorted(path.name for path in folder.iterdir()) == ["2", "4", "5", "6"]


def test_read_only_wants_a_folder(tmp_path):
    with pytest.raises(UserError, match="is missing; give a run folder"):
        Checkpoints(tmp_path / "absent", read_only=True)
    assert not (tmp_path / "absent").exists()
