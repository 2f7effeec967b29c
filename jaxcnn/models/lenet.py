"""LeNet-5 as it is written today: ReLU, max pooling, fully connected layers."""

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import nn
from jaxcnn._checks.naming import named_module
from jaxcnn.models import _network


@named_module
class LeNet5(nnx.Module):
    """Reads 28x28 digits: 61,706 parameters with ten classes.

        conv1  5x5, padding 2   28x28x6     156
        pool1  max 2x2          14x14x6
        conv2  5x5              10x10x16    2,416
        pool2  max 2x2          5x5x16
        fc1                     120         48,120
        fc2                     84          10,164
        fc3                     10          850

    with a ReLU after all but the pools and the last.

    Args:
      num_classes: number of outputs.
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: from images to `(*batch, 5, 5, 16)`, for images of any size.
      classifier: from there to logits.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import LeNet5
      >>> model = LeNet5(rngs=nnx.Rngs(0))
      >>> images = jnp.ones((8, 28, 28, 1))
      >>> model(images).shape
      (8, 10)
      >>> [maps.shape[1:] for maps in model.feature_maps(images).values()]
      [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16)]

    References:
      Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document
      recognition, 1998; its own form is `LeNet5Classic`.
    """

    input_shape = (28, 28, 1)

    def __init__(
        self,
        num_classes: int = 10,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        self.num_classes = _network.classes(num_classes)
        options = _network.options(rngs, dtype, param_dtype)
        self.features = nn.Chain(
            conv1=nn.Conv(1, 6, (5, 5), padding=2, **options),
            relu1=nn.Activation("relu"),
            pool1=nn.MaxPool((2, 2), strides=2),
            conv2=nn.Conv(6, 16, (5, 5), padding="VALID", **options),
            relu2=nn.Activation("relu"),
            pool2=nn.MaxPool((2, 2), strides=2),
        )
        self.classifier = nn.Chain(
            flatten=nn.Flatten(),
            fc1=_network.linear(400, 120, **options),
            relu3=nn.Activation("relu"),
            fc2=_network.linear(120, 84, **options),
            relu4=nn.Activation("relu"),
            fc3=_network.linear(84, num_classes, **options),
        )

    def __call__(
        self, inputs: Num[Array, "*batch 28 28 1"]
    ) -> Inexact[Array, "*batch num_classes"]:
        """Gives one logit per class for images `(*batch, 28, 28, 1)`."""
        return self.classifier(self.features(_network.image(inputs, (28, 28, 1))))

    def feature_maps(self, inputs: Num[Array, "*batch h w 1"]) -> dict[str, Array]:
        """What the convolutions (after their ReLU) and the pools give, by name, in order."""
        outputs = self.features.outputs(inputs)
        return {
            "conv1": outputs["relu1"],
            "pool1": outputs["pool1"],
            "conv2": outputs["relu2"],
            "pool2": outputs["pool2"],
        }
