"""SqueezeNet: AlexNet's accuracy with a fiftieth of the parameters."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import nn
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.models import _network

# Taps and channels of the stem, and before which modules there is a pool, by the version.
VERSIONS = {"1.0": (7, 96, (2, 5, 9)), "1.1": (3, 64, (2, 4, 6))}
# Squeezed channels, and those of each of the two expanding convolutions, from "fire2" on.
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
HE_INIT = initial.variance_scaling(2.0, "fan_in", "uniform")


@named_module
class Fire(nnx.Module):
    """Squeezes the channels, then expands them by one tap and by three, side by side.

    Args:
      in_features: channels of the inputs.
      squeezed_features: channels in the middle.
      expanded_features: channels of each of the two that follow.
      **options: dtype, param_dtype and rngs.
    """

    def __init__(
        self, in_features: int, squeezed_features: int, expanded_features: int, **options: Any
    ):
        conv: dict[str, Any] = dict(norm=None, kernel_init=HE_INIT, **options)
        self.squeeze = nn.ConvBlock(in_features, squeezed_features, (1, 1), **conv)
        self.expand1 = nn.ConvBlock(squeezed_features, expanded_features, (1, 1), **conv)
        self.expand3 = nn.ConvBlock(squeezed_features, expanded_features, (3, 3), padding=1, **conv)

    def __call__(
        self, inputs: Num[Array, "*batch height width in_features"]
    ) -> Inexact[Array, "*batch height width out_features"]:
        """Takes `(*batch, height, width, n)` to as many pixels of `2 * expanded_features`."""
        squeezed = self.squeeze(inputs)
        return jnp.concatenate([self.expand1(squeezed), self.expand3(squeezed)], -1)


@named_module
class SqueezeNet(_network.Classifier):
    """Eight fire modules, torchvision's form: 1,248,424 parameters (1.0), 1,235,496 (1.1).

    Args:
      version: "1.0" is the paper's; "1.1" pools earlier, for less than half the products.
      num_classes: number of outputs.
      in_features: channels of the images.
      fires: (squeezed, expanded) channels of every fire module, from "fire2" on.
      dropout: share of the features set to 0 in training, drawn from the stream "dropout".
      remat: whether the backward pass computes the inner values of each module anew.
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: "stem" (strides 2), "fire2" to "fire9", with pools (3x3, strides 2, sizes rounded
        up) between them.
      classifier: a convolution of one tap, a ReLU and the average over all pixels.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import SqueezeNet
      >>> model = nnx.eval_shape(lambda: SqueezeNet("1.1", rngs=nnx.Rngs(0)))
      >>> images = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
      >>> maps = nnx.eval_shape(lambda model, x: model.feature_maps(x), model, images)
      >>> maps["stem"].shape, maps["fire9"].shape
      ((8, 111, 111, 64), (8, 13, 13, 512))

    References:
      F. N. Iandola, S. Han, M. W. Moskewicz, K. Ashraf, W. J. Dally and K. Keutzer, SqueezeNet:
      AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size, 2016.
    """

    def __init__(
        self,
        version: str = "1.1",
        num_classes: int = 1000,
        *,
        in_features: int = 3,
        fires: Sequence[Sequence[int]] = FIRES,
        dropout: float = 0.5,
        remat: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options = _network.options(rngs, dtype, param_dtype)
        self.version = checks.choice("version", version, tuple(VERSIONS))
        self.num_classes = _network.classes(num_classes)
        self.in_features = in_features
        rows = _network.table("fires", fires, "squeezed, expanded")
        rate = _network.fraction("dropout", dropout)
        taps, inside, pooled = VERSIONS[version]
        stem: dict[str, Any] = dict(norm=None, padding="VALID", kernel_init=HE_INIT, **options)
        layers: dict[str, Any] = {
            "stem": nn.ConvBlock(in_features, inside, (taps, taps), 2, **stem)
        }
        for index, (squeezed, expanded) in enumerate(rows, 2):
            if index in pooled:  # a pixel of padding behind, so that the size is rounded up
                layers[f"pool{index - 1}"] = nn.MaxPool((3, 3), strides=2, padding=[(0, 1)] * 2)
            layers[f"fire{index}"] = Fire(inside, squeezed, expanded, **options)
            inside = 2 * expanded
        self.features = nn.Chain(**layers)
        self.features.remat = checks.flag("remat", remat)
        last: dict[str, Any] = dict(norm=None, kernel_init=initial.normal(0.01), **options)
        self.classifier = nn.Chain(
            dropout=_network.dropout(rate, rngs),
            conv=nn.ConvBlock(inside, self.num_classes, (1, 1), **last),
            pool=nn.GlobalAvgPool(spatial_axes=(-3, -2)),
        )
