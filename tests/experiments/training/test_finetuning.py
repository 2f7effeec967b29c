"""Training that begins from weights: what is frozen, what has its own rate, what is refused."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from experiments.commands.command import UserError
from experiments.training import finetuning
from experiments.training.mesh import make_mesh
from experiments.training.network import Network
from experiments.training.optimizers import make_optimizer, make_schedule
from experiments.training.recipe import Recipe
from experiments.training.step import initial_state, make_step
from jaxcnn import models, nn

pytestmark = pytest.mark.usefixtures("plain_jax")
PLAIN = Recipe(learning_rate=0.1, optimizer="sgd", schedule="constant", weight_decay=0.1)


class Small(nnx.Module):
    """Batch norm and dropout in what may be frozen; a classifier."""

    def __init__(self, rngs, classes=3):
        self.features = nn.Chain(
            norm=nn.batch_norm(1, rngs=rngs),
            conv=nn.Conv(1, 2, (3, 3), rngs=rngs),
            drop=nnx.Dropout(0.5, rngs=rngs),
        )
        self.classifier = nn.Chain(
            pool=nn.GlobalAvgPool(spatial_axes=(-3, -2)), fc=nnx.Linear(2, classes, rngs=rngs)
        )

    def __call__(self, inputs):
        return self.classifier(self.features(inputs))


@pytest.fixture
def stepped(tiny_data):
    """The arrays before and after a step of a recipe."""

    def stepped(**options):
        recipe = dataclasses.replace(PLAIN, **options)
        network = Network(Small, frozen=finetuning.parts(recipe))
        optimizer = make_optimizer(recipe, make_schedule(recipe, 10))
        mesh, (images, labels) = make_mesh("data=1"), tiny_data.train.arrays()
        step = jax.jit(
            make_step(network, optimizer, recipe, classes=3, steps_per_epoch=10, mesh=mesh)
        )
        state = initial_state(network, optimizer, recipe, 0)
        after, metrics = step(state, images[:8], labels[:8], jax.random.key(1))
        assert not metrics.skipped
        return jax.device_get((state.model, after.model))

    return stepped


def changed(before, after):
    """The paths of what a step changed."""
    differ = jax.tree.map(lambda a, b: bool(np.any(a != b)), before, after)
    return {finetuning.path_of(path) for path, new in jax.tree.leaves_with_path(differ) if new}


HEAD = {"params.classifier.fc.kernel", "params.classifier.fc.bias"}
NORM = {"stats.features.norm.mean", "stats.features.norm.var"}


def test_what_is_frozen_stays_as_it_is_its_averages_too(stepped):
    assert changed(*stepped()) >= HEAD | NORM | {"params.features.conv.kernel"}
    before, frozen = stepped(freeze="features")
    assert changed(before, frozen) == HEAD
    conv = changed(*stepped(freeze="features.norm, classifier.fc.bias"))
    assert conv == {"params.classifier.fc.kernel"} | {
        f"params.features.conv.{name}" for name in ("kernel", "bias")
    }
    # In use: the batch, and what dropout would drop, do not matter to what the classifier sees.
    model = Small(nnx.Rngs(0))
    Network(Small, frozen=("features",)).train(model)
    assert model.features.drop.deterministic and model.features.norm.use_running_average
    Network(Small).train(model)
    assert not model.features.drop.deterministic and not model.features.norm.use_running_average


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_the_classifier_has_its_own_rate(stepped, optimizer):
    (start, plain), (_, fast) = (
        stepped(optimizer=optimizer, head_learning_rate=rate) for rate in (None, 0.3)
    )
    for name in ("kernel", "bias"):
        once, thrice = (
            each["params"]["classifier"]["fc"][name] - start["params"]["classifier"]["fc"][name]
            for each in (plain, fast)
        )
        np.testing.assert_allclose(thrice, 3 * once, rtol=1e-3, atol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        plain["params"]["features"], fast["params"]["features"],
    )  # fmt: skip


def test_weights_are_begun_from_all_but_a_head_of_other_classes(tmp_path):
    pytest.importorskip("safetensors")
    first, path = Small(nnx.Rngs(3), classes=5), str(tmp_path / "small.safetensors")
    models.save_torch(first, path)
    network = Network(Small, begin=lambda model: finetuning.load(model, path))
    begun, fresh = network.initial(0), Network(Small).initial(0)
    kernel = begun["params"]["features"]["conv"]["kernel"]
    np.testing.assert_array_equal(kernel, first.features.conv.kernel[...])
    assert (kernel != fresh["params"]["features"]["conv"]["kernel"]).any()
    jax.tree.map(
        np.testing.assert_array_equal, begun["params"]["classifier"], fresh["params"]["classifier"]
    )
    report = finetuning.load(Small(nnx.Rngs(0)), path)
    line = finetuning.told(report, "small.safetensors")
    assert line.startswith("weights: 6 arrays of small.safetensors; fresh: classifier.fc.")

    models.save_torch(models.SimpleCNN(3, widths=(2,), rngs=nnx.Rngs(0)), path)
    with pytest.raises(UserError, match="--weights: load_torch: `weights` must hold what Small"):
        finetuning.load(Small(nnx.Rngs(0)), path)
    models.save_torch(first, path)
    with pytest.raises(
        UserError, match="has nothing for 1 parameters of Coloured .*features.conv.k"
    ):
        finetuning.load(Coloured(nnx.Rngs(0)), path)
    with pytest.raises(UserError, match="--weights: load_torch: .* is no file"):
        finetuning.load(Small(nnx.Rngs(0)), f"{path}.absent")


class Coloured(Small):
    """A kernel of another shape."""

    def __init__(self, rngs):
        super().__init__(rngs)
        self.features.conv.kernel = nnx.Param(np.zeros((3, 3, 3, 2), np.float32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freeze": "feature"}, r"--freeze \(=feature\) must be one of classifier, features, or"),
        ({"freeze": "features,classifier"}, "leaves nothing to train"),
        ({"freeze": "classifier", "head_learning_rate": 0.1}, "needs a classifier that is not fro"),
    ],
)
def test_parts_that_there_are_not_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        finetuning.check(Recipe(**options), Network(Small).shapes["params"])
    with pytest.raises(UserError, match=r"--head-learning-rate \(=0.0\) must be above 0"):
        Recipe(head_learning_rate=0.0)
