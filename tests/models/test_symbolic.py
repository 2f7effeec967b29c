"""All networks with a batch whose size is not known, and some with images of any size."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx
from jax import export

from jaxcnn import models
from tests.models.networks import NETWORKS as SMALL

NETWORKS = {
    "AlexNet": (models.AlexNet, "b, 224, 224, 3"),
    "CifarResNet": (functools.partial(models.CifarResNet, 20), "b, h, w, 3"),
    "CifarSpeedNet": (models.CifarSpeedNet, "b, 32, 32, 3"),
    "ConvNeXtTiny": (functools.partial(models.ConvNeXtTiny, depths=(1, 1, 1, 1)), "b, 64, 64, 3"),
    "DenseNet": (SMALL["DenseNet"][0], "b, 64, 64, 3"),
    "DilatedContext": (models.DilatedContext, "b, 64, 64, 3"),
    "EfficientNetB0": (SMALL["EfficientNetB0"][0], "b, 64, 64, 3"),
    "GoogLeNet": (SMALL["GoogLeNet"][0], "b, 64, 64, 3"),
    "LeNet5": (models.LeNet5, "b, 28, 28, 1"),
    "LeNet5Classic": (models.LeNet5Classic, "b, 32, 32, 1"),
    "MobileNetV2": (models.MobileNetV2, "b, 64, 64, 3"),
    "PatternCNN": (
        functools.partial(models.PatternCNN, (8, 6, 2), 3, stages=1, features=2, hidden=0),
        "b, 8, 6, 2",
    ),
    "RegNet": (SMALL["RegNet"][0], "b, 64, 64, 3"),
    "ResNet": (functools.partial(models.ResNet, 18), "b, h, w, 3"),
    "SimpleCNN": (models.SimpleCNN, "b, 28, 28, 1"),
    "SqueezeNet": (SMALL["SqueezeNet"][0], "b, h, w, 3"),
    "UNet": (functools.partial(models.UNet, widths=(2, 4, 6)), "b, 4*h, 4*w, 3"),
    "VGG": (functools.partial(models.VGG, 11), "b, 224, 224, 3"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_batch_of_any_size(name):
    build, shape = NETWORKS[name]
    model = nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0)))
    model.eval()
    graph, state = nnx.split(model)
    images = jax.ShapeDtypeStruct(export.symbolic_shape(shape), np.float32)
    outputs = jax.eval_shape(lambda state, x: nnx.merge(graph, state)(x), state, images)
    assert outputs.shape[0] == images.shape[0]
    assert name != "UNet" or outputs.shape[:-1] == images.shape[:-1]


def test_every_network_is_tried():
    kinds = {name for name in models.__all__ if isinstance(getattr(models, name), type)}
    assert kinds - {"TorchReport"} == set(NETWORKS)


@pytest.mark.parametrize("name", SMALL)
def test_what_is_exported_gives_what_the_network_gives(name, filled):
    build, (*sizes, channels) = SMALL[name]
    model = filled(build)
    model.eval()
    graph, state = nnx.split(model)
    call = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    text = "b, 2*h, 2*w" if name == "UNet" else f"b, {', '.join(map(str, sizes))}"
    images = jax.ShapeDtypeStruct(export.symbolic_shape(f"{text}, {channels}"), np.float32)
    exported = export.export(call)(state, images)
    shape = (3, 6, 8, channels) if name == "UNet" else (3, *sizes, channels)
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    expected = call(state, x)
    close = 1e-4 * np.abs(expected).max()  # float32 sums in another order
    np.testing.assert_allclose(exported.call(state, x), expected, rtol=1e-4, atol=close)
