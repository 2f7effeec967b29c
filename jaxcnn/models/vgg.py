"""VGG: convolutions of three taps alone, deeper and deeper."""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxcnn import nn
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn.models import _classifier, _network
from jaxcnn.nn.residual import HE_INIT

# Convolutions in each of the five stages, by the number of layers with weights.
CONVS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)
_LAYERS = ("fc1", "relu1", "dropout1", "fc2", "relu2", "dropout2", "fc3")


@named_module
class VGG(_network.Classifier):
    """Five stages of 3x3 convolutions with a max pool after each: VGG-11, 13, 16 and 19.

    Parameters with 1000 classes: 132,863,336 (11), 133,047,848 (13), 138,357,544 (16) and
    143,667,240 (19). Images of 32 pixels or more along each axis will do; a pool brings the
    features to 7x7.

    Args:
      depth: 11, 13, 16 or 19 layers with weights.
      num_classes: number of outputs.
      batch_normalized: whether each convolution is followed by batch normalisation.
      in_features: channels of the images.
      hidden_features: outputs of the two hidden layers of the classifier.
      dropout: share of activations set to 0 in training, drawn from the stream "dropout".
      remat: whether the backward pass computes the inner values of each stage anew.
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: from images to `(*batch, h, w, 512)`, "stage1" to "stage5".
      classifier: from there to logits.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import VGG
      >>> model = nnx.eval_shape(lambda: VGG(16, rngs=nnx.Rngs(0)))
      >>> images = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
      >>> maps = nnx.eval_shape(lambda model, x: model.feature_maps(x), model, images)
      >>> maps["stage5"].shape
      (8, 7, 7, 512)

    References:
      K. Simonyan and A. Zisserman, Very deep convolutional networks for large-scale image
      recognition, 2014.
    """

    def __init__(
        self,
        depth: int = 16,
        num_classes: int = 1000,
        *,
        batch_normalized: bool = False,
        in_features: int = 3,
        hidden_features: int = 4096,
        dropout: float = 0.5,
        remat: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options = _network.options(rngs, dtype, param_dtype)
        self.depth = _network.one_of("depth", depth, CONVS)
        self.num_classes = _network.classes(num_classes)
        self.in_features = in_features
        norm = nn.batch_norm if checks.flag("batch_normalized", batch_normalized) else None
        stages, inside = {}, in_features
        for stage, (count, width) in enumerate(zip(CONVS[depth], WIDTHS, strict=True), 1):
            layers: dict[str, Any] = {}
            for index in range(1, count + 1):
                layers[f"conv{index}"] = nn.ConvBlock(
                    inside,
                    width,
                    (3, 3),
                    padding=1,
                    norm=norm,
                    use_bias=True,
                    kernel_init=HE_INIT,
                    **options,
                )
                inside = width
            stages[f"stage{stage}"] = nn.Chain(**layers, pool=nn.MaxPool((2, 2), strides=2))
        self.features = nn.Chain(**stages)
        self.features.remat = checks.flag("remat", remat)
        self.classifier = _classifier.head(
            _LAYERS, (7, 7, 512), num_classes, hidden_features, dropout, options
        )
