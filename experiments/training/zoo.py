"""The networks of `jaxcnn.models` by name, made for a data set or a trained run."""

import inspect
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.commands.command import require, require_known
from experiments.data import Dataset
from experiments.training.network import scale
from experiments.training.recipe import Recipe
from jaxcnn import models, nn

_WHITENED = 2000  # images that the whitening kernel is computed from

# Name -> module and its options, to which the data set and the recipe add theirs.
CLASSIFIERS = {
    "alexnet": (models.AlexNet, {}),
    "cifar-resnet20": (models.CifarResNet, {"depth": 20}),
    "cifar-resnet56": (models.CifarResNet, {"depth": 56}),
    "cifar-resnet110": (models.CifarResNet, {"depth": 110}),
    "cifar-speed-net": (models.CifarSpeedNet, {}),
    "convnext-tiny": (models.ConvNeXtTiny, {}),
    "convnext-small": (models.ConvNeXtTiny, {"depths": (3, 3, 27, 3)}),
    "convnext-base": (
        models.ConvNeXtTiny,
        {"depths": (3, 3, 27, 3), "widths": (128, 256, 512, 1024)},
    ),
    "densenet121": (models.DenseNet, {}),
    "efficientnet-b0": (models.EfficientNetB0, {}),
    "googlenet": (models.GoogLeNet, {}),
    "lenet5": (models.LeNet5, {}),
    "lenet5-classic": (models.LeNet5Classic, {}),
    "mobilenet-v2": (models.MobileNetV2, {}),
    "pattern-cnn": (models.PatternCNN, {}),
    "regnet-x-400mf": (models.RegNet, {"variant": "x_400mf"}),
    "regnet-y-400mf": (models.RegNet, {"variant": "y_400mf"}),
    "resnet18": (models.ResNet, {"depth": 18}),
    "resnet34": (models.ResNet, {"depth": 34}),
    "resnet50": (models.ResNet, {"depth": 50}),
    "resnet101": (models.ResNet, {"depth": 101}),
    "resnet152": (models.ResNet, {"depth": 152}),
    "resnext50": (models.ResNet, {"depth": 50, "feature_group_count": 32, "group_features": 4}),
    "wide-resnet50": (models.ResNet, {"depth": 50, "group_features": 128}),
    "simple-cnn": (models.SimpleCNN, {}),
    "squeezenet": (models.SqueezeNet, {}),
    "vgg11": (models.VGG, {"depth": 11}),
    "vgg16": (models.VGG, {"depth": 16}),
    "vgg16-bn": (models.VGG, {"depth": 16, "batch_normalized": True}),
}
OF_SIGNALS = ("pattern-cnn",)
"""Those of `CLASSIFIERS` that take one spatial axis; the others have two in every layer."""
SEGMENTERS = {
    "dilated-context": (models.DilatedContext, {}),
    "dilated-context-small": (
        models.DilatedContext,
        {"widths": (16, 32, 64, 64, 64), "hidden_features": 128, "dropout": 0.1},
    ),
    "unet": (models.UNet, {"norm": nn.batch_norm}),
    "unet-small": (models.UNet, {"norm": nn.batch_norm, "widths": (16, 32, 64, 128)}),
}


def make_model(
    name: str, dataset: Dataset, recipe: Recipe, image_shape: tuple[int, ...]
) -> Callable[[nnx.Rngs], nnx.Module]:
    """What makes a network for the classes and the channels of a data set.

    Args:
      name: in `CLASSIFIERS` or, where the targets are masks, in `SEGMENTERS`.
      dataset: to be learned.
      recipe: its precision and remat are the network's.
      image_shape: `(height, width, channels)`, as the network is to see them.
    Raises:
      UserError: there is no network of that name for the task.
    """
    check_model(name, dataset)
    make = build(name, recipe, classes=len(dataset.classes), image_shape=image_shape)
    if name != "cifar-speed-net":
        return make
    rows = range(min(_WHITENED, len(dataset.train)))
    images = scale(jnp.asarray(np.stack([dataset.train[row][0] for row in rows])))

    def whitened(rngs: nnx.Rngs) -> nnx.Module:
        model: Any = make(rngs)
        model.whiten(images)
        return model

    return whitened


def check_model(name: str, dataset: Dataset) -> None:
    """Says which networks learn a data set, unless `name` is one of them.

    Raises:
      UserError: it is none.
    """
    require_known("model", name, [*CLASSIFIERS, *SEGMENTERS])
    signals, what = dataset.kind == "signals", dataset.kind
    if dataset.task == "segmentation":
        known, what = list(SEGMENTERS), "segmentation"
    else:
        known = list(OF_SIGNALS if signals else CLASSIFIERS)
        what = f"classification of {what}"
    rule = f"does not suit {dataset.name}: for {what} it must be one of {', '.join(known)}"
    require(name in known, "model", name, rule)


def build(
    name: str, recipe: Recipe, *, classes: int, image_shape: tuple[int, ...]
) -> Callable[[nnx.Rngs], nnx.Module]:
    """What makes a network, to be trained or to be restored.

    Args:
      name: in `CLASSIFIERS` or `SEGMENTERS`.
      recipe: its precision and remat are the network's.
      classes: how many the network tells apart.
      image_shape: `(height, width, channels)`, as the network is to see them.
    """
    network, fixed = {**CLASSIFIERS, **SEGMENTERS}[name]
    options = {
        "num_classes": classes,
        "in_features": image_shape[-1],
        "input_shape": image_shape,
        "remat": recipe.remat,
        "dtype": None if recipe.precision == "float32" else jnp.bfloat16,
    }
    taken = inspect.signature(network.__init__).parameters
    known = {key: value for key, value in options.items() if key in taken}
    return lambda rngs: network(**{**known, **fixed}, rngs=rngs)


def has_remat(name: str) -> bool:
    """Whether a network has its own option for `Recipe.remat`."""
    network, _ = {**CLASSIFIERS, **SEGMENTERS}[name]
    return "remat" in inspect.signature(network.__init__).parameters
