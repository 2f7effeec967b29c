"""AlexNet, in the form for one device."""

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Num

from jaxcnn import nn
from jaxcnn._checks.naming import named_module
from jaxcnn.models import _classifier, _network

_LAYERS = ("dropout1", "fc1", "relu1", "dropout2", "fc2", "relu2", "fc3")


@named_module
class AlexNet(_network.Classifier):
    """Five convolutions, three pools, three fully connected layers: 61,100,840 parameters.

    torchvision's form, which is the paper's second one. Images of 63 pixels or more along each axis
    will do, 224 is what it was made for; a pool brings the features to 6x6.

    Args:
      num_classes: number of outputs.
      in_features: channels of the images.
      hidden_features: outputs of the two hidden layers of the classifier.
      dropout: share of activations set to 0 in training, drawn from the stream "dropout".
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: from images to `(*batch, h, w, 256)`.
      classifier: from there to logits.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import AlexNet
      >>> model = nnx.eval_shape(lambda: AlexNet(rngs=nnx.Rngs(0)))
      >>> images = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
      >>> nnx.eval_shape(lambda model, x: model(x), model, images).shape
      (8, 1000)

    References:
      A. Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        *,
        in_features: int = 3,
        hidden_features: int = 4096,
        dropout: float = 0.5,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options = _network.options(rngs, dtype, param_dtype)
        self.num_classes = _network.classes(num_classes)
        self.in_features = in_features
        self.features = nn.Chain(
            conv1=nn.Conv(in_features, 64, (11, 11), 4, padding=2, **options),
            relu1=nn.Activation("relu"),
            pool1=nn.MaxPool((3, 3), strides=2),
            conv2=nn.Conv(64, 192, (5, 5), padding=2, **options),
            relu2=nn.Activation("relu"),
            pool2=nn.MaxPool((3, 3), strides=2),
            conv3=nn.Conv(192, 384, (3, 3), padding=1, **options),
            relu3=nn.Activation("relu"),
            conv4=nn.Conv(384, 256, (3, 3), padding=1, **options),
            relu4=nn.Activation("relu"),
            conv5=nn.Conv(256, 256, (3, 3), padding=1, **options),
            relu5=nn.Activation("relu"),
            pool3=nn.MaxPool((3, 3), strides=2),
        )
        self.classifier = _classifier.head(
            _LAYERS, (6, 6, 256), num_classes, hidden_features, dropout, options
        )

    def feature_maps(
        self, inputs: Num[Array, "*batch height width in_features"]
    ) -> dict[str, Array]:
        """What the convolutions (after their ReLU) and the pools give, by name, in order."""
        outputs = super().feature_maps(inputs)
        return {
            name.replace("relu", "conv"): maps
            for name, maps in outputs.items()
            if not name.startswith("conv")
        }
