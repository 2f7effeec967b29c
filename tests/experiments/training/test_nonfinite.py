"""A training that becomes NaN or infinite: stopped and located, or skipped and counted."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments.commands import command
from experiments.commands.command import NotFinite, UserError
from experiments.data import Dataset
from experiments.training import pictures, session
from experiments.training.loop import fit
from experiments.training.recipe import Recipe
from experiments.training.runs import Run
from jaxcnn import nn

RECIPE = Recipe(epochs=4, batch_size=8, optimizer="sgd", weight_decay=0.0, learning_rate=0.05)
STEPS = 5


class Fragile(nnx.Module):
    """A power overflows, and the root has no derivative at 0."""

    def __init__(self, rngs):
        self.norm = nnx.BatchNorm(1, rngs=rngs)
        self.body = nn.Chain(
            flat=nn.Flatten(),
            first=nnx.Linear(30, 6, rngs=rngs),
            root=nn.Activation(lambda x: jnp.sqrt(jnp.abs(x))),
            power=nn.Activation(lambda x: x**4),
        )
        self.last = nnx.Linear(6, 3, rngs=rngs)

    def __call__(self, inputs):
        return self.last(self.body(self.norm(inputs)))


@pytest.fixture(scope="session")
def with_a_nan(tiny_data, make_split):
    """`tiny_data` in floats, one of which is none."""
    images, labels = tiny_data.train.arrays()
    images = images.astype(np.float32)
    images[7, 2, 3] = np.nan
    return dataclasses.replace(tiny_data, train=make_split(images, labels))


def explode(step):
    """A rate that is far too high in the third epoch."""
    return jnp.where(step < 12, 0.01, 1e10)


@pytest.fixture(scope="module")
def programs(compiled, tiny_data):
    """Which become infinite in the step after that with the high rate."""
    return compiled(Fragile, tiny_data, dataclasses.replace(RECIPE, accumulate=2), schedule=explode)


@pytest.fixture(autouse=True)
def quick(plain_jax, monkeypatch):
    monkeypatch.setattr(pictures, "draw", lambda *arguments: None)


def finite(tree):
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def broken(name):
    """Changes the parameters so that a step is not finite there; returns what is to be named."""

    def change(model):
        first, last = model["params"]["body"]["first"], model["params"]["last"]
        first["kernel"] = kernel = np.array(first["kernel"])
        if name == "parameter":
            kernel[3, 2] = np.nan
            return "in the parameter `body.first.kernel`, before the step"
        if name == "average":
            model["stats"]["norm"]["mean"] = np.full(1, np.inf, np.float32)
            return "in the average `norm.mean`, before the step"
        if name == "overflow":
            kernel *= 1e30
            return "in the output of the layer `body.power` (Activation)"
        if name == "backward":
            kernel *= 0
            return "in the backward pass of the layer `body.root` (Activation)"
        last["bias"] = np.array([3e38, -3e38, 0], np.float32)
        return "in the loss of finite outputs"

    return change


@pytest.mark.parametrize("name", ["parameter", "average", "overflow", "backward", "loss"])
def test_origin(programs, name):
    state, key = programs.initial_state(0), programs.key(0)
    wanted = broken(name)(state.model)
    before = jax.tree.map(np.array, state)
    after, _, metrics = programs.batches.advance(state, 0, key)
    np.testing.assert_array_equal(metrics.skipped, 1)  # the first and, for good, those after it
    assert int(after.step) == 0 and int(after.sums.skipped) > 0
    jax.tree.map(np.testing.assert_array_equal, after.model, before.model)
    assert "in " + programs.origin(after, *programs.batches.batch(after, key)) == wanted


def test_stops_with_the_last_good_checkpoint(programs, tmp_path):
    run = Run.create(tmp_path / "run", {})
    with pytest.raises(NotFinite) as error:
        fit(programs, run, seed=0, again="this --resume that")
    assert str(error.value) == (
        "the training is no longer finite in step 4 of 5 of epoch 3 of 4: NaN or infinity appeared "
        "first in the output of the layer `body.power` (Activation); a lower --learning-rate may "
        f"help; the last good checkpoint is {run.checkpoints}/10, after epoch 2 of 4, go on with: "
        "this --resume that --nonfinite skip"
    )
    assert error.value.code == 3
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["10", "5"]
    assert [line["epoch"] for line in run.metrics()] == [1, 2]


def test_exit_code(capsys):
    def diverge(options):
        raise NotFinite("no longer finite")

    with pytest.raises(SystemExit) as exit:
        command.run("train", {"train": (Recipe, diverge)}, [])
    assert (exit.value.code, capsys.readouterr().err) == (3, "error: no longer finite\n")


def test_stops_a_stream_and_names_an_image(programs, compiled, tiny_data, monkeypatch, tmp_path):
    monkeypatch.setattr(Dataset, "streamed", True)
    origin = programs.origin  # the same step in parts, compiled before
    programs = compiled(Fragile, tiny_data, RECIPE, schedule=explode)
    programs.origin = origin
    done, advance = [], programs.batches.advance
    monkeypatch.setattr(
        programs.batches, "advance", lambda *given: done.append(given[1]) or advance(*given)
    )
    with pytest.raises(NotFinite, match=r"step 4 of 5 of epoch 3 of 4: .*`body.power`.*/10, after"):
        fit(programs, Run.create(tmp_path, {}), seed=0)
    assert len(done) == 15  # the step after the bad one was not begun
    images, targets, key = programs.batches.batch(programs.initial_state(0), programs.key(0))
    images = np.asarray(images, np.float32)
    images[5, 0, 0] = np.inf
    found = programs.origin(programs.initial_state(0), images, targets, key)
    assert found == "image 6 of the 8 of the batch"


def test_skips_and_counts(compiled, with_a_nan, monkeypatch, tmp_path, capsys):
    recipe = dataclasses.replace(RECIPE, nonfinite="skip", optimizer="adamw", ema=0.5)
    programs = compiled(Fragile, with_a_nan, recipe)
    run = Run.create(tmp_path / "run", {})
    state, test = fit(programs, run, seed=0)
    assert finite(state) and np.isfinite(test["loss"])
    assert [line["skipped"] for line in run.metrics()] == [1, 1, 1, 1]  # a step of each epoch
    assert all(np.isfinite(line["train_loss"]) for line in run.metrics())
    assert "4 updates were not finite and left out" in capsys.readouterr().out
    assert int(state.step) == 20 and int(state.optimizer[0].count) == 16
    bad = programs.initial_state(0)
    bad.model["params"]["last"]["bias"] += np.nan
    monkeypatch.setattr(programs, "initial_state", lambda seed: bad)
    monkeypatch.setattr(programs, "origin", lambda *given: 1 / 0)
    message = "step 5 of 5 of epoch 1 of 4.*cannot be told .division by zero.*no checkpoint was"
    with pytest.raises(NotFinite, match=message):
        fit(programs, Run.create(tmp_path / "all", {}), seed=0)


def test_an_update_that_overflows_is_not_saved(programs, tmp_path, monkeypatch):
    state = programs.initial_state(0)
    state.optimizer[1][0].trace["last"]["bias"] += jnp.inf  # as a gradient might leave it
    monkeypatch.setattr(programs, "initial_state", lambda seed: state)
    run = Run.create(tmp_path, {})
    with pytest.raises(
        NotFinite, match="of epoch 1 of 4.*the parameter `last.bias`.*no checkpoint"
    ):
        fit(programs, run, seed=0)
    assert not list(run.checkpoints.iterdir())


def test_may_be_chosen_anew_when_a_run_is_resumed(tmp_path, monkeypatch):
    class Reached(Exception):
        pass

    def made(subject, recipe, session):
        raise Reached(recipe)

    monkeypatch.setattr(session, "make_programs", made)
    subject = session.Subject("mnist5k", "lenet5")
    run = Run.create(tmp_path, session.config(subject, Recipe(epochs=3)))

    def resume(**options):
        recipe = Recipe(**{"epochs": 3, **options})
        session.train(session.Session(resume=tmp_path), subject, recipe, name="train")

    for nonfinite in ("skip", "ignore", "stop"):
        with pytest.raises(Reached) as reached:
            resume(nonfinite=nonfinite)
        assert reached.value.args == (Recipe(epochs=3, nonfinite=nonfinite),)
    with pytest.raises(UserError, match="--batch-size .=4. cannot be changed"):
        resume(batch_size=4)
    with run.locked(), pytest.raises(UserError, match="in use by another program"):
        resume()  # before anything is compiled
