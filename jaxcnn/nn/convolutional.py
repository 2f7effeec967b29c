"""A classifier that runs on larger images, made of a trained one: a class for every window."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Inexact, Num

from jaxcnn import geometry
from jaxcnn._checks.naming import named, named_module
from jaxcnn._modules.follow import pointwise
from jaxcnn._modules.still import name_of
from jaxcnn.nn.adaptive import AdaptiveAvgPool
from jaxcnn.nn.chain import Activation, Chain, Flatten
from jaxcnn.nn.dense import dense_to_conv
from jaxcnn.nn.global_pool import GlobalAvgPool
from jaxcnn.nn.pool import AvgPool


@named_module
class FullyConvolutional(nnx.Module):
    """What `convolutionalize` returns.

    Args:
      features: from images to feature maps.
      classifier: from there to logits, one set for every window.
    """

    def __init__(self, features: Chain, classifier: Chain):
        self.features = features
        self.classifier = classifier

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial in_features"]
    ) -> Inexact[Array, "*batch_and_out num_classes"]:
        """Gives logits `(*batch, *places, num_classes)` for `(*batch, *spatial, in_features)`."""
        return self.classifier(self.features(inputs))


@named
def convolutionalize(
    model: nnx.Module, input_shape: Sequence[int] | None = None
) -> FullyConvolutional:
    """Turns a trained classifier into one that runs on any larger image.

    Its fully connected layers become convolutions, the first as large as the feature maps that it
    was made for, the others of one tap. On an image of the size that the classifier was made for
    there is one place, with the classifier's logits; on a larger one, a place for every window of
    the feature maps, as many pixels apart as the features have strides. All windows share the
    work of the features.

    A pool to a fixed size before the first layer, as in VGG, says how large the window is and is
    left out. An average over all pixels, as in ResNet, becomes one over a window.

    Args:
      model: a network with `features` and `classifier`, the latter an `nn.Chain` of fully connected
        layers and functions of single elements, or of one pixel's channels, after a flattening or a
        pool.
      input_shape: `(*spatial, channels)` of the images that the classifier was made for; None
        where the model or its pool says it.
    Returns:
      The network, with `features` and `classifier`; its parameters are copies.
    Raises:
      ValueError: `input_shape` is needed, or does not suit the classifier.
      TypeError: the classifier holds something else.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import models, nn
      >>> reader = nn.convolutionalize(models.LeNet5(rngs=nnx.Rngs(0)))
      >>> reader(jnp.ones((28, 28, 1))).shape, reader(jnp.ones((64, 96, 1))).shape
      ((1, 1, 10), (10, 18, 10))

    References:
      P. Sermanet, D. Eigen, X. Zhang, M. Mathieu, R. Fergus and Y. LeCun, OverFeat: integrated
      recognition, localization and detection using convolutional networks, 2014.
    """
    features = getattr(model, "features", None)
    classifier = getattr(model, "classifier", None)
    if not isinstance(classifier, Chain) or not isinstance(features, nnx.Module):
        raise TypeError(
            f"`model` must have modules `features` and `classifier`, the latter an "
            f"nn.Chain; {type(model).__name__} has not"
        )
    if input_shape is None:
        input_shape = getattr(model, "input_shape", None)
    layers: dict[str, Any] = {}
    window: tuple[int, ...] | None = None
    waiting = True  # until the first fully connected layer
    for key, layer in zip(classifier.names, classifier.layers, strict=True):
        if isinstance(layer, nnx.Linear):
            if window is None:
                window = _window(features, input_shape)
            layers[key] = dense_to_conv(layer, window if waiting else (1,) * len(window))
            waiting = False
        elif isinstance(layer, AdaptiveAvgPool) and None not in layer.output_shape and waiting:
            window = tuple(size for size in layer.output_shape if size is not None)
        elif isinstance(layer, GlobalAvgPool) and waiting and not layer.keepdims:
            sizes = _window(features, input_shape)
            layers[key] = AvgPool(sizes, strides=1)
            window = (1,) * len(sizes)
        elif isinstance(layer, _SINGLE):
            layers[key] = nnx.clone(layer)
        elif not isinstance(layer, nnx.Module) and _everywhere(layer, window, waiting):
            layers[key] = layer
        elif not (isinstance(layer, Flatten) and waiting):
            raise TypeError(
                f"can't turn `{key}`, {name_of(layer)}, of the classifier into a "
                "convolution; write its counterpart by hand"
            )
    return FullyConvolutional(nnx.clone(features), Chain(**layers))  # type: ignore[arg-type]


_SINGLE = (Activation, nnx.Dropout, nnx.BatchNorm, nnx.LayerNorm)


def _everywhere(function: Any, window: tuple[int, ...] | None, waiting: bool) -> bool:
    """Whether a function sees one place alone, as it stands and between convolutions."""
    places = (3,) * (2 if window is None else len(window))
    return pointwise(function, (2, *places)) and (waiting or pointwise(function, (2,)))


def _window(features: Any, input_shape: Sequence[int] | None) -> tuple[int, ...]:
    """Spatial sizes of the feature maps of one image."""
    if input_shape is None:
        raise ValueError(
            "`input_shape` must say how large the images are that the classifier was made "
            "for, such as (224, 224, 3)"
        )
    shape = geometry.axes_tuple("input_shape", input_shape)
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    return nnx.eval_shape(lambda layer, x: layer(x), features, images).shape[:-1]
