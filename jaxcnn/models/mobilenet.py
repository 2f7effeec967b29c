"""MobileNetV2: inverted residual blocks, whose wide convolutions see one channel each."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxcnn import geometry, nn
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.models import _network
from jaxcnn.nn.residual import HE_INIT

# Expansion, channels, blocks and strides of every stage, as in the paper's table 2.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


@named_module
class MobileNetV2(_network.Classifier):
    """Seventeen inverted residual blocks in seven stages: 3,504,872 parameters, torchvision's form.

    Args:
      num_classes: number of outputs.
      in_features: channels of the images.
      width_multiplier: factor of all channels, which are rounded to multiples of 8.
      stages: (expansion, channels, blocks, strides) of every stage.
      dropout: share of the averages set to 0 in training, drawn from the stream "dropout".
      remat: whether the backward pass computes the inner values of each block anew.
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: "stem" (3x3, strides 2), "stage1" to "stage7", "top" (1x1).
      classifier: the average over all pixels and one fully connected layer.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import MobileNetV2
      >>> model = nnx.eval_shape(lambda: MobileNetV2(rngs=nnx.Rngs(0)))
      >>> images = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
      >>> maps = nnx.eval_shape(lambda model, x: model.feature_maps(x), model, images)
      >>> maps["stage7"].shape, maps["top"].shape
      ((8, 7, 7, 320), (8, 7, 7, 1280))

    References:
      M. Sandler, A. Howard, M. Zhu, A. Zhmoginov and L.-C. Chen, MobileNetV2: inverted residuals
      and linear bottlenecks, 2018.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        *,
        in_features: int = 3,
        width_multiplier: float = 1.0,
        stages: Sequence[Sequence[int]] = STAGES,
        dropout: float = 0.2,
        remat: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options = _network.options(rngs, dtype, param_dtype)
        self.num_classes = _network.classes(num_classes)
        self.in_features = in_features
        self.stages = _stages(stages)
        factor = _factor(width_multiplier)
        rate = _network.fraction("dropout", dropout)
        again = checks.flag("remat", remat)
        common: dict[str, Any] = dict(activation="relu6", kernel_init=HE_INIT, **options)
        inside = _rounded(32 * factor)
        layers: dict[str, Any] = {
            "stem": nn.ConvBlock(in_features, inside, (3, 3), 2, padding=1, **common)
        }
        for stage, (expansion, channels, blocks, strides) in enumerate(self.stages, 1):
            members, width = {}, _rounded(channels * factor)
            for index in range(1, blocks + 1):
                members[f"block{index}"] = nn.InvertedResidual(
                    inside, width, strides if index == 1 else 1, expansion=expansion, **options
                )
                inside = width
            layers[f"stage{stage}"] = nn.Chain(**members)
            layers[f"stage{stage}"].remat = again
        top = _rounded(1280 * max(factor, 1.0))
        layers["top"] = nn.ConvBlock(inside, top, (1, 1), **common)
        self.features = nn.Chain(**layers)
        self.classifier = nn.Chain(
            pool=nn.GlobalAvgPool(spatial_axes=(-3, -2)),
            dropout=_network.dropout(rate, rngs),
            fc=_network.linear(top, self.num_classes, kernel_init=initial.normal(0.01), **options),
        )


def _rounded(channels: float) -> int:
    """The nearest multiple of 8, or the next if that took more than a tenth away."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


def _factor(value: Any) -> float:
    """The width multiplier, above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"`width_multiplier` (={value!r}) must be a number")
    if not value > 0:
        raise ValueError(f"`width_multiplier` (={value}) must be above 0")
    return float(value)


def _stages(value: Any) -> tuple[tuple[int, ...], ...]:
    """The table of stages with its entries checked."""
    if not isinstance(value, (tuple, list)) or not value:
        raise TypeError(f"`stages` (={value!r}) must be a tuple of tuples of four ints")
    rows = tuple(geometry.axes_tuple("stages", row) for row in value)
    for row in rows:
        if len(row) != 4:
            raise ValueError(
                f"`stages` must have (expansion, channels, blocks, strides) for each "
                f"stage; received {row}"
            )
    return rows
