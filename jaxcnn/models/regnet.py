"""RegNet: the same grouped residual block everywhere, its widths from a straight line."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxcnn import nn
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn.models import _network
from jaxcnn.models._squeeze import SqueezeExcite
from jaxcnn.nn.residual import HE_INIT

# Blocks and channels of the four stages, and channels of a group, by the model's name; "y" weighs
# its channels. The numbers are those that the paper's quantised lines give, torchvision's.
VARIANTS: dict[str, tuple[tuple[int, ...], tuple[int, ...], int]] = {
    "x_400mf": ((1, 2, 7, 12), (32, 64, 160, 400), 16),
    "x_800mf": ((1, 3, 7, 5), (64, 128, 288, 672), 16),
    "y_400mf": ((1, 3, 6, 6), (48, 104, 208, 440), 8),
    "y_800mf": ((1, 3, 8, 2), (64, 144, 320, 784), 16),
}
STEM = 32


class RegNetBlock(nn.ResidualBlock):
    """One tap, three by groups, one; with or without weighing the channels before the last.

    Arguments: `nn.ResidualBlock`, and `squeezed_features`, of that weighing; 0 leaves it out.
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        strides: int = 1,
        *,
        squeezed_features: int = 0,
        **options: Any,
    ):
        self.squeezed_features = squeezed_features
        super().__init__(in_features, features, strides, **options)

    def _make_branch(self, options: dict[str, Any]) -> nn.Chain:
        width = self.features
        grouped = {**options, "feature_group_count": self.feature_group_count}
        layers: dict[str, Any] = {
            "conv1": self._conv(options, self.in_features, width, 1),
            "conv2": self._conv(grouped, width, width, 3, self.strides),
        }
        if self.squeezed_features:
            plain = {name: options[name] for name in ("dtype", "param_dtype", "rngs")}
            layers["squeeze"] = SqueezeExcite(width, self.squeezed_features, **plain)
        last = {**options, "activation": None}
        return nn.Chain(**layers, conv3=self._conv(last, width, width, 1))


@named_module
class RegNet(_network.Classifier):
    """RegNetX and RegNetY of 400 and 800 million products, torchvision's form.

    Parameters with 1000 classes: 5,495,976 (x_400mf), 7,259,656 (x_800mf), 4,344,144 (y_400mf) and
    6,432,512 (y_800mf).

    Args:
      variant: "x_400mf", "x_800mf", "y_400mf" or "y_800mf".
      num_classes: number of outputs.
      in_features: channels of the images.
      depths: blocks of the stages, in place of the variant's.
      widths: channels of the stages, likewise.
      remat: whether the backward pass computes the inner values of each block anew.
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: "stem" (3x3, strides 2), "stage1" to "stage4", each of which halves the sizes.
      classifier: the average over all pixels and one fully connected layer.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import RegNet
      >>> model = nnx.eval_shape(lambda: RegNet("y_400mf", rngs=nnx.Rngs(0)))
      >>> images = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
      >>> maps = nnx.eval_shape(lambda model, x: model.feature_maps(x), model, images)
      >>> maps["stage1"].shape, maps["stage4"].shape
      ((8, 56, 56, 48), (8, 7, 7, 440))

    References:
      I. Radosavovic, R. P. Kosaraju, R. Girshick, K. He and P. Dollár, Designing network design
      spaces, 2020.
    """

    def __init__(
        self,
        variant: str = "y_400mf",
        num_classes: int = 1000,
        *,
        in_features: int = 3,
        depths: Sequence[int] | None = None,
        widths: Sequence[int] | None = None,
        remat: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options = _network.options(rngs, dtype, param_dtype)
        self.variant = checks.choice("variant", variant, tuple(VARIANTS))
        self.num_classes = _network.classes(num_classes)
        self.in_features = in_features
        *shape, group = VARIANTS[variant]
        counts, sizes = _network.stages(depths or shape[0], widths or shape[1])
        again = checks.flag("remat", remat)
        stages: dict[str, Any] = {
            "stem": nn.ConvBlock(
                in_features, STEM, (3, 3), 2, padding=1, kernel_init=HE_INIT, **options
            )
        }
        inside = STEM
        for stage, (count, width) in enumerate(zip(counts, sizes, strict=True), 1):
            layers = {}
            for index in range(1, count + 1):
                layers[f"block{index}"] = RegNetBlock(
                    inside,
                    width,
                    2 if index == 1 else 1,
                    feature_group_count=max(1, width // group),
                    squeezed_features=round(inside / 4) if variant.startswith("y") else 0,
                    **options,
                )
                inside = width
            stages[f"stage{stage}"] = nn.Chain(**layers)
            stages[f"stage{stage}"].remat = again
        self.features = nn.Chain(**stages)
        self.classifier = nn.Chain(
            pool=nn.GlobalAvgPool(spatial_axes=(-3, -2)),
            fc=nnx.Linear(inside, self.num_classes, **options),
        )
