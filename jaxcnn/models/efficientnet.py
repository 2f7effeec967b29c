"""EfficientNet-B0: inverted residual blocks that weigh their channels."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import geometry, nn
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn.models import _network
from jaxcnn.models._squeeze import SqueezeExcite
from jaxcnn.nn.residual import HE_INIT

# Expansion, taps, strides, channels and blocks of every stage, as in the paper's table 1.
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
STEM, TOP = 32, 1280


@named_module
class MBConv(nnx.Module):
    """Expands, convolves each channel by itself, weighs the channels, projects; adds the inputs.

        out = x + drop(project(squeeze(depthwise(expand(x)))))

    without the sum where shapes differ.

    Args:
      in_features: channels of the inputs.
      out_features: channels of the outputs.
      kernel_size: taps of the depthwise step along each axis, odd.
      strides: of the depthwise step.
      expansion: how many times wider the middle is; 1 leaves the first step out.
      drop_rate: share of images whose branch is dropped in training, drawn from "dropout".
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int = 3,
        strides: int = 1,
        *,
        expansion: int = 6,
        drop_rate: float = 0.0,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options: dict[str, Any] = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        conv: dict[str, Any] = dict(activation="silu", kernel_init=HE_INIT, **options)
        wide = in_features * expansion
        layers: dict[str, Any] = {}
        if expansion > 1:
            layers["expand"] = nn.ConvBlock(in_features, wide, (1, 1), **conv)
        layers["depthwise"] = nn.ConvBlock(
            wide,
            wide,
            (kernel_size, kernel_size),
            strides,
            padding=kernel_size // 2,
            feature_group_count=wide,
            **conv,
        )
        layers["squeeze"] = SqueezeExcite(wide, max(1, in_features // 4), "silu", **options)
        layers["project"] = nn.ConvBlock(wide, out_features, (1, 1), **{**conv, "activation": None})
        self.branch = nn.Chain(**layers)
        self.adds_inputs = strides == 1 and in_features == out_features
        drop = _network.dropout(drop_rate, rngs, (-3, -2, -1))
        self.drop = drop if self.adds_inputs else None

    def __call__(
        self, inputs: Num[Array, "*batch height width in_features"]
    ) -> Inexact[Array, "*batch out_height out_width out_features"]:
        """Takes `(*batch, height, width, in_features)` to `(*batch, *out, out_features)`."""
        outputs = self.branch(inputs)
        if self.drop is None:
            return outputs
        return self.drop(outputs) + inputs.astype(outputs.dtype)


@named_module
class EfficientNetB0(_network.Classifier):
    """Sixteen blocks in seven stages: 5,288,548 parameters, torchvision's form.

    Args:
      num_classes: number of outputs.
      in_features: channels of the images.
      stages: (expansion, taps, strides, channels, blocks) of every stage.
      dropout: share of the averages set to 0 in training, drawn from the stream "dropout".
      stochastic_depth: share of images for which the branch of a block is dropped in training; 0
        for the first block, evenly more from block to block. Drawn from the stream "dropout".
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
      >>> from jaxcnn.models import EfficientNetB0
      >>> model = nnx.eval_shape(lambda: EfficientNetB0(rngs=nnx.Rngs(0)))
      >>> images = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
      >>> maps = nnx.eval_shape(lambda model, x: model.feature_maps(x), model, images)
      >>> maps["stage7"].shape, maps["top"].shape
      ((8, 7, 7, 320), (8, 7, 7, 1280))

    References:
      M. Tan and Q. Le, EfficientNet: rethinking model scaling for convolutional neural networks,
      2019.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        *,
        in_features: int = 3,
        stages: Sequence[Sequence[int]] = STAGES,
        dropout: float = 0.2,
        stochastic_depth: float = 0.2,
        remat: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options = _network.options(rngs, dtype, param_dtype)
        self.num_classes = _network.classes(num_classes)
        self.in_features = in_features
        rows = _network.table("stages", stages, "expansion, taps, strides, channels, blocks")
        rate = _network.fraction("dropout", dropout)
        depth_rate = _network.fraction("stochastic_depth", stochastic_depth)
        again = checks.flag("remat", remat)
        conv: dict[str, Any] = dict(activation="silu", kernel_init=HE_INIT, **options)
        layers: dict[str, Any] = {
            "stem": nn.ConvBlock(in_features, STEM, (3, 3), 2, padding=1, **conv)
        }
        inside, done, total = STEM, 0, sum(row[-1] for row in rows)
        for stage, (expansion, taps, strides, channels, blocks) in enumerate(rows, 1):
            members = {}
            for index in range(1, blocks + 1):
                members[f"block{index}"] = MBConv(
                    inside,
                    channels,
                    geometry.whole_number("stages", taps, 1),
                    strides if index == 1 else 1,
                    expansion=expansion,
                    drop_rate=depth_rate * done / total,
                    **options,
                )
                inside, done = channels, done + 1
            layers[f"stage{stage}"] = nn.Chain(**members)
            layers[f"stage{stage}"].remat = again
        layers["top"] = nn.ConvBlock(inside, TOP, (1, 1), **conv)
        self.features = nn.Chain(**layers)
        self.classifier = nn.Chain(
            pool=nn.GlobalAvgPool(spatial_axes=(-3, -2)),
            dropout=_network.dropout(rate, rngs),
            fc=nnx.Linear(TOP, self.num_classes, **options),
        )
