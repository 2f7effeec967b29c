"""Optimisers and schedules by name."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

from experiments.training.network import Network
from experiments.training.optimizers import kernels, make_optimizer, make_schedule
from experiments.training.recipe import Recipe
from jaxcnn.models import SimpleCNN

pytestmark = pytest.mark.usefixtures("plain_jax")


def rates(steps_per_epoch=10, **options):
    recipe = Recipe(epochs=10, learning_rate=0.5, **options)
    schedule = make_schedule(recipe, steps_per_epoch)
    return np.asarray(jax.jit(jax.vmap(schedule))(np.arange(10 * steps_per_epoch + 1)))


def test_one_cycle_rises_and_falls():
    curve = rates(schedule="one-cycle")
    assert curve.argmax() == 30 and curve.max() == pytest.approx(0.5)
    assert curve[0] < 0.05 and curve[-1] < 1e-4


def test_cosine_falls_after_the_warmup():
    curve = rates(schedule="cosine", warmup=2)
    np.testing.assert_allclose(curve[:21], np.linspace(0, 0.5, 21), atol=1e-6)
    np.testing.assert_allclose(curve[60], 0.25, rtol=1e-5)
    assert curve[-1] == pytest.approx(0, abs=1e-6) and (np.diff(curve[20:]) < 0).all()
    assert rates(schedule="cosine")[0] == pytest.approx(0.5)


def test_constant():
    np.testing.assert_allclose(rates(schedule="constant"), 0.5)
    np.testing.assert_allclose(rates(schedule="constant", warmup=1)[:12:5], [0, 0.25, 0.5])


@pytest.fixture(scope="module")
def parameters():
    network = Network(lambda rngs: SimpleCNN(3, widths=(2, 3, 4, 5), rngs=rngs))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda a: np.float32(rng.normal(size=a.shape)), network.shapes["params"])


def first_updates(optimizer, gradient, parameters):
    def updates(gradient, parameters):
        return optimizer.update(gradient, optimizer.init(parameters), parameters)[0]

    return jax.tree.map(np.asarray, jax.jit(updates)(gradient, parameters))


def test_biases_and_norms_do_not_decay(parameters):
    decays = jax.tree.leaves_with_path(kernels(parameters))
    assert {path[-1].key for path, decay in decays if decay} == {"kernel"}
    assert {path[-1].key for path, decay in decays if not decay} == {"bias", "scale"}
    untied = {"bias": np.ones((4, 4, 3)), "kernel": np.ones((4, 4, 9, 3))}
    assert kernels(untied) == {"bias": False, "kernel": True}


@pytest.mark.parametrize("name", ["adamw", "sgd", "muon"])
def test_without_a_gradient_kernels_decay_alone(name, parameters):
    recipe = Recipe(optimizer=name, weight_decay=0.1)
    optimizer = make_optimizer(recipe, optax.constant_schedule(0.5))
    nothing = jax.tree.map(np.zeros_like, parameters)
    updates = first_updates(optimizer, nothing, parameters)
    nesterov = 1.9 if name == "sgd" else 1.0  # (1 + momentum) at the first step
    jax.tree.map(
        lambda update, decays, leaf: np.testing.assert_allclose(
            update, -0.05 * nesterov * leaf * decays, rtol=1e-5, atol=1e-7
        ),
        updates,
        kernels(parameters),
        parameters,
    )


def test_muon_makes_the_update_of_a_kernel_orthogonal(rng):
    kernel = rng.normal(size=(3, 2, 2, 8)).astype(np.float32)
    parameters = {"kernel": kernel, "bias": np.ones(8, np.float32)}
    recipe = dataclasses.replace(Recipe(), optimizer="muon", weight_decay=0.0)
    optimizer = make_optimizer(recipe, optax.constant_schedule(1.0))
    gradient = jax.tree.map(lambda leaf: leaf**3, parameters)
    updates = first_updates(optimizer, gradient, parameters)
    scales = np.linalg.svd(updates["kernel"].reshape(12, 8), compute_uv=False)
    assert scales.min() > 0.6 and scales.max() < 1.3  # Newton and Schulz come that close to 1
    np.testing.assert_allclose(updates["bias"], updates["bias"][0])  # Adam's: of one size
