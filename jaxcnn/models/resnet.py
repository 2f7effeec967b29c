"""Residual networks: for ImageNet, and the slim ones for CIFAR."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxcnn import geometry, nn
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn.models import _network
from jaxcnn.nn.residual import HE_INIT

# The block and how many of it each of the four stages has, by the number of layers with weights.
BLOCKS = {
    18: (nn.BasicBlock, (2, 2, 2, 2)),
    34: (nn.BasicBlock, (3, 4, 6, 3)),
    50: (nn.BottleneckBlock, (3, 4, 6, 3)),
    101: (nn.BottleneckBlock, (3, 4, 23, 3)),
}


class _Residual(_network.Classifier):
    """What both kinds have in common: stem, stages, average, one fully connected layer."""

    def _build(
        self,
        stem: dict[str, Any],
        block: type[nn.ResidualBlock],
        counts: Sequence[int],
        widths: Sequence[int],
        options: dict[str, Any],
        block_options: dict[str, Any],
        remat: bool,
    ) -> None:
        """Makes `features` and `classifier`; every stage but the first halves the sizes."""
        stages, inside = {}, widths[0]
        for stage, (count, width) in enumerate(zip(counts, widths, strict=True), 1):
            layers = {}
            for index in range(1, count + 1):
                strides = 2 if stage > 1 and index == 1 else 1
                layers[f"block{index}"] = block(inside, width, strides, **block_options, **options)
                inside = width * block.expansion
            stages[f"stage{stage}"] = nn.Chain(**layers)
            stages[f"stage{stage}"].remat = checks.flag("remat", remat)
        self.features = nn.Chain(**stem, **stages)
        self.classifier = nn.Chain(
            pool=nn.GlobalAvgPool(spatial_axes=(-3, -2)),
            fc=nnx.Linear(inside, self.num_classes, **options),
        )


@named_module
class ResNet(_Residual):
    """ResNet-18, 34, 50 and 101, torchvision's version 1.5.

    Parameters with 1000 classes: 11,689,512 (18), 21,797,672 (34), 25,557,032 (50) and
    44,549,160 (101).

    Args:
      depth: 18, 34, 50 or 101 layers with weights.
      num_classes: number of outputs.
      in_features: channels of the images.
      zero_init: whether every branch starts at zero.
      remat: whether the backward pass computes the inner values of each block anew.
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: "stem" (7x7, strides 2), "pool" (3x3, strides 2), "stage1" to "stage4".
      classifier: the average over all pixels and one fully connected layer.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import ResNet
      >>> model = nnx.eval_shape(lambda: ResNet(18, rngs=nnx.Rngs(0)))
      >>> images = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
      >>> maps = nnx.eval_shape(lambda model, x: model.feature_maps(x), model, images)
      >>> maps["stage4"].shape
      (8, 7, 7, 512)

    References:
      K. He, X. Zhang, S. Ren and J. Sun, Deep residual learning for image recognition, 2015.
    """

    def __init__(
        self,
        depth: int = 50,
        num_classes: int = 1000,
        *,
        in_features: int = 3,
        zero_init: bool = False,
        remat: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options = _network.options(rngs, dtype, param_dtype)
        self.depth = _network.one_of("depth", depth, BLOCKS)
        self.num_classes = _network.classes(num_classes)
        self.in_features = in_features
        block, counts = BLOCKS[depth]
        stem = nn.ConvBlock(in_features, 64, (7, 7), 2, padding=3, kernel_init=HE_INIT, **options)
        pool = nn.MaxPool((3, 3), strides=2, padding=1)
        self._build(
            {"stem": stem, "pool": pool},
            block,
            counts,
            (64, 128, 256, 512),
            options,
            {"zero_init": zero_init},
            remat,
        )


@named_module
class CifarResNet(_Residual):
    """The slim networks for 32x32 images: 6n + 2 layers, three stages of n blocks.

    Parameters with 10 classes: 269,722 (20), 464,154 (32), 658,586 (44), 853,018 (56) and
    1,727,962 (110).

    Args:
      depth: 6n + 2 layers with weights.
      num_classes: number of outputs.
      in_features: channels of the images.
      widths: channels of the three stages.
      shortcut: "pad" as in the paper, without parameters, or "conv".
      zero_init: whether every branch starts at zero.
      remat: whether the backward pass computes the inner values of each block anew.
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: "stem" (3x3), "stage1" to "stage3".
      classifier: the average over all pixels and one fully connected layer.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import CifarResNet
      >>> model = nnx.eval_shape(lambda: CifarResNet(20, rngs=nnx.Rngs(0)))
      >>> nnx.eval_shape(lambda model: model(jnp.ones((8, 32, 32, 3))), model).shape
      (8, 10)

    References:
      K. He, X. Zhang, S. Ren and J. Sun, Deep residual learning for image recognition, 2015,
      section 4.2.
    """

    def __init__(
        self,
        depth: int = 20,
        num_classes: int = 10,
        *,
        in_features: int = 3,
        widths: Sequence[int] = (16, 32, 64),
        shortcut: str = "pad",
        zero_init: bool = False,
        remat: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options = _network.options(rngs, dtype, param_dtype)
        self.depth = geometry.whole_number("depth", depth, 8)
        if (self.depth - 2) % 6:
            raise ValueError(f"`depth` (={depth}) must be 6n + 2, such as 20, 32, 44, 56 or 110")
        self.num_classes = _network.classes(num_classes)
        self.in_features = in_features
        widths = geometry.axes_tuple("widths", widths)
        stem = nn.ConvBlock(
            in_features, widths[0], (3, 3), padding=1, kernel_init=HE_INIT, **options
        )
        counts = ((self.depth - 2) // 6,) * 3
        if len(widths) != 3:
            raise ValueError(f"`widths` (={widths}) must have three entries")
        self._build(
            {"stem": stem},
            nn.BasicBlock,
            counts,
            widths,
            options,
            {"zero_init": zero_init, "shortcut": shortcut},
            remat,
        )
