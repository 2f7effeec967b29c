"""Networks by name: their options, and that they suit data and recipe."""

import dataclasses
import inspect

import jax
import numpy as np
import pytest
from flax import nnx

from experiments.data import load
from experiments.training import zoo
from experiments.training.recipe import Recipe

pytestmark = pytest.mark.usefixtures("plain_jax")


@pytest.mark.parametrize("name", [*zoo.CLASSIFIERS, *zoo.SEGMENTERS])
def test_networks_know_their_options(name):
    network, options = {**zoo.CLASSIFIERS, **zoo.SEGMENTERS}[name]
    known = inspect.signature(network.__init__).parameters
    assert {*options, "dtype", "rngs"} <= known.keys()
    assert zoo.has_remat(name) is ("remat" in known)


@pytest.mark.parametrize(
    "name", ["lenet5", "cifar-speed-net", "pattern-cnn", "vgg11", "unet-small"]
)
def test_networks_suit_data_and_recipe(name, data_dir):
    data = load("mnist5k", data_dir=data_dir)
    task = "segmentation" if name in zoo.SEGMENTERS else "classification"
    data = dataclasses.replace(data, task=task, classes=tuple("abcdefg"))
    side = 28 if name == "lenet5" else 32
    recipe = Recipe(precision="bfloat16", remat=True)
    make = zoo.make_model(name, data, recipe, (side, side, 1))
    model = nnx.eval_shape(lambda: make(nnx.Rngs(0)))
    images = jax.ShapeDtypeStruct((2, side, side, 1), np.float32)
    logits = nnx.eval_shape(lambda model, images: model(images), model, images)
    assert logits.shape == ((2, side, side, 7) if task == "segmentation" else (2, 7))
    assert logits.dtype == "bfloat16"
    params = jax.tree.leaves(nnx.state(model, nnx.Param))
    assert all(leaf.dtype == np.float32 for leaf in params)


@pytest.mark.parametrize("name", ["pattern-cnn", "simple-cnn", "lenet5", "cifar-resnet20", "vgg11"])
def test_which_networks_take_signals(name):
    make = zoo.build(name, Recipe(), classes=5, image_shape=(128, 1))
    signals = jax.ShapeDtypeStruct((2, 128, 1), np.float32)
    try:
        model = nnx.eval_shape(lambda: make(nnx.Rngs(0)))
        taken = nnx.eval_shape(lambda model, x: model(x), model, signals).shape == (2, 5)
    except ValueError:
        taken = False
    assert taken is (name in zoo.OF_SIGNALS)
