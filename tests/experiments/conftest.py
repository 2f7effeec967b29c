"""What the tests of the experiments share: prepared data and a run of a very small classifier."""

import contextlib
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from matplotlib.figure import Figure

from experiments.data import Dataset, Split, load
from experiments.data.split import Layout
from experiments.training import pictures
from experiments.training.augment import Augmentation
from experiments.training.loop import fit
from experiments.training.programs import Programs
from experiments.training.recipe import Recipe
from experiments.training.runs import Run

TINY = Recipe(
    epochs=5,
    batch_size=8,
    learning_rate=0.05,
    schedule="constant",
    weight_decay=1e-4,
    label_smoothing=0.1,
    test_batch_size=6,
    augmentation=Augmentation(shift=1),
)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A folder in which mnist5k is prepared."""
    folder = tmp_path_factory.mktemp("data")
    load("mnist5k", data_dir=folder)
    return folder


@pytest.fixture
def figures(monkeypatch):
    """The figures that a test saves, by the names of their files."""
    saved, save = {}, Figure.savefig

    def note(figure, path, **options):
        save(figure, path, **options)
        saved[Path(path).name.strip(".").partition(".")[0]] = figure

    monkeypatch.setattr(Figure, "savefig", note)
    return saved


@pytest.fixture
def few_digits(data_dir, monkeypatch):
    """The same folder, of whose splits only the first 200 digits are seen."""
    see_few(monkeypatch)
    return data_dir


@pytest.fixture(scope="module")
def few_digits_as_users_run(data_dir):
    """The same for fixtures that live longer than a test: in a context that this gives."""

    @contextlib.contextmanager
    def few_digits():
        with as_users_run(), pytest.MonkeyPatch.context() as patch:
            see_few(patch)
            yield data_dir

    return few_digits


def see_few(patch):
    """Cuts all splits to 200 examples."""
    make = Split.__init__

    def make_few(self, *arguments):
        make(self, *arguments)
        self._rows = self._rows[:200]

    patch.setattr(Split, "__init__", make_few)


@pytest.fixture
def plain_jax():
    """JAX as the experiments find it: 32 bits and its standard promotion, on which optax relies."""
    with as_users_run():
        yield


@contextlib.contextmanager
def as_users_run():
    """For the fixtures that live longer than a test."""
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        yield


class TinyModel(nnx.Module):
    """Linear: 6 x 5 pixels to 3 classes, with dropout and normalised pixels."""

    def __init__(self, rngs: nnx.Rngs):
        self.norm = nnx.BatchNorm(1, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.linear = nnx.Linear(30, 3, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        inputs = self.dropout(self.norm(inputs))
        return self.linear(inputs.reshape(len(inputs), -1))


def tiny_split(images, targets, *, is_mask=False):
    """A split that is held in memory."""
    layout = Layout("tiny", Path("nowhere"), "image", "target", images.shape[1:], is_mask)
    examples = [{"image": i, "target": t} for i, t in zip(images, targets, strict=True)]
    return Split(examples, layout)


@pytest.fixture
def tiny_recipe():
    """Of `tiny_programs`."""
    return TINY


@pytest.fixture
def make_tiny_model():
    """Makes the network of `tiny_programs`."""
    return TinyModel


@pytest.fixture(scope="session")
def tiny_data():
    """Bright rows in noise: the class is the row, of 3."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, 50).astype(np.int32)
    images = rng.integers(0, 60, (50, 6, 5, 1)).astype(np.uint8)
    images[np.arange(50), 2 * labels] += 190
    splits = (tiny_split(images[part], labels[part]) for part in (slice(40), slice(40, 50)))
    return Dataset("tiny", "classification", ("low", "middle", "high"), (6, 5, 1), *splits)


@pytest.fixture(scope="session")
def make_split():
    """`tiny_split`."""
    return tiny_split


@pytest.fixture(scope="session")
def compiled():
    """`Programs`, compiled."""

    def compiled(*arguments, **options):
        with as_users_run():
            programs = Programs(*arguments, **options)
            programs.compile()
            return programs

    return compiled


@pytest.fixture(scope="session")
def tiny_programs(compiled, tiny_data):
    """For `tiny_data`, 5 steps of 8 images an epoch."""
    return compiled(TinyModel, tiny_data, TINY)


@pytest.fixture(scope="session")
def tiny_run(tiny_programs, tmp_path_factory):
    """A run of them with seed 3 that nothing happened to: its folder, last state and last test."""
    run = Run.create(tmp_path_factory.mktemp("whole"), {})
    with as_users_run(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "draw", lambda *arguments: None)
        return run.folder, *fit(tiny_programs, run, seed=3)


@pytest.fixture(scope="session")
def tiny_stream(compiled, tiny_data):
    """The same, of a data set that is streamed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dataset, "streamed", True)
        return compiled(TinyModel, tiny_data, TINY)
