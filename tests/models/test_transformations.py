"""What Flax does to modules, done to our networks and blocks: scanned, mapped, copied, printed."""

import copy
import functools
import pickle

import jax
import numpy as np
import pytest
from flax import nnx

from jaxcnn import models, nn


class Residual(nnx.Module):
    """One block of a residual network, with its normalisations, and its classifier."""

    def __init__(self, *, rngs):
        self.features = nn.Chain(block=nn.BasicBlock(3, 4, 2, rngs=rngs))
        self.classifier = nn.Chain(pool=nn.GlobalAvgPool(), fc=nnx.Linear(4, 3, rngs=rngs))

    def __call__(self, inputs):
        return self.classifier(self.features(inputs))


NETWORKS = {
    "LeNet5": (functools.partial(models.LeNet5, num_classes=3), (28, 28, 1)),
    "PatternCNN": (
        functools.partial(models.PatternCNN, (8, 6, 2), 3, stages=1, features=2, hidden=0),
        (8, 6, 2),
    ),
    "Residual": (Residual, (8, 6, 3)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_several_seeds_train_in_a_scan(name, filled):
    """Two networks at once, three steps each, as one by one; copies and pickles go on alike."""
    build, shape = NETWORKS[name]
    rng = np.random.default_rng(0)
    images = rng.normal(size=(3, 4, *shape)).astype(np.float32)
    models_ = [filled(build), filled(build)]
    for number, model in enumerate(models_):
        model.classifier.layers[-1].bias[...] = np.full((3,), 0.1 * number, np.float32)

    def step(model, batch):
        def loss(model):
            return -jax.nn.log_softmax(model(batch))[:, 1].mean()

        value, gradient = nnx.value_and_grad(loss)(model)
        moved = jax.tree.map(lambda p, g: p - 0.05 * g, nnx.state(model, nnx.Param), gradient)
        nnx.update(model, moved)
        return model, value

    scanned = nnx.scan(step, in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0))
    steps = nnx.jit(nnx.vmap(lambda model, x: scanned_losses(scanned, model, x), in_axes=(0, None)))
    graph = nnx.graphdef(models_[0])
    states = [nnx.state(model) for model in models_]
    both = nnx.merge(graph, jax.tree.map(lambda *leaves: jax.device_put(np.stack(leaves)), *states))
    twice = copy.deepcopy(both), pickle.loads(pickle.dumps(both))
    losses = steps(both, images)
    assert losses.shape == (2, 3)
    one = nnx.jit(step)
    for number, model in enumerate(models_):
        alone = [one(model, batch)[1] for batch in images]
        # Three steps of float32, whose sums are in another order.
        np.testing.assert_allclose(losses[number], alone, rtol=1e-3)
    new, old = (np.asarray(jax.tree.leaves(nnx.state(model))[0]) for model in (both, twice[0]))
    assert np.any(new != old)
    for other in twice:
        np.testing.assert_array_equal(steps(other, images), losses)
    assert repr(both).startswith(name) and "kernel" in repr(both)


def scanned_losses(scanned, model, images):
    """The losses of a scan that carries a network as Flax wants it: handed in and out."""
    _, losses = scanned(model, images)
    return losses


def test_modules_are_layers_of_a_scan(rng):
    """Blocks made by `nnx.vmap` are the layers of a network in a scan, as Flax's guide has it."""

    @nnx.vmap(in_axes=0, out_axes=0)
    def make(rngs):
        return nn.BasicBlock(3, 3, rngs=rngs)

    stacked = make(nnx.Rngs(0).split(3))

    @nnx.jit
    @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
    def forward(block, x):
        return block(x)

    inputs = rng.normal(size=(2, 5, 4, 3)).astype(np.float32)
    stacked.eval()
    found = forward(stacked, inputs)
    graph, state = nnx.split(stacked)
    run = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    state, expected = jax.device_get(state), inputs
    for index in range(3):
        expected = run(jax.tree.map(lambda leaf, i=index: leaf[i], state), expected)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
