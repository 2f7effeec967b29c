"""Squeeze and excitation: a factor for every channel, worked out from the averages of all."""

from typing import Any

from flax import nnx
from jaxtyping import Array, Inexact, Num

from jaxcnn import nn
from jaxcnn._checks.naming import named_module


@named_module
class SqueezeExcite(nnx.Module):
    """outputs = inputs * sigmoid(fc2(activation(fc1(average over all pixels)))).

    Args:
      features: channels of inputs and outputs.
      squeezed_features: channels in the middle.
      activation: in the middle, name of a function in `flax.nnx`.
      **options: dtype, param_dtype and rngs of both layers, which are convolutions of one tap.

    References:
      J. Hu, L. Shen and G. Sun, Squeeze-and-excitation networks, 2018.
    """

    def __init__(
        self, features: int, squeezed_features: int, activation: str = "relu", **options: Any
    ):
        self.factors = nn.Chain(
            pool=nn.GlobalAvgPool(spatial_axes=(-3, -2), keepdims=True),
            fc1=nn.Conv(features, squeezed_features, (1, 1), **options),
            activation=nn.Activation(activation),
            fc2=nn.Conv(squeezed_features, features, (1, 1), **options),
            sigmoid=nn.Activation("sigmoid"),
        )

    def __call__(
        self, inputs: Num[Array, "*batch height width features"]
    ) -> Inexact[Array, "*batch height width features"]:
        """Takes `(*batch, height, width, features)` to the same shape."""
        factors = self.factors(inputs)
        return inputs.astype(factors.dtype) * factors
