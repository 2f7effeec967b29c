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
    152: (nn.BottleneckBlock, (3, 8, 36, 3)),
}


class InnerBottleneck(nn.BottleneckBlock):
    """A bottleneck whose inner convolutions are wider or narrower than a fourth of the outputs.

    Arguments: `nn.ResidualBlock`, and `share`, the inner width over that fourth.
    """

    def __init__(
        self, in_features: int, features: int, strides: int = 1, *, share: float, **options: Any
    ):
        self.share = share
        super().__init__(in_features, features, strides, **options)

    def _make_branch(self, options: dict[str, Any]) -> nn.Chain:
        width = int(self.features * self.share)
        grouped = {**options, "feature_group_count": self.feature_group_count}
        last = {**options, "activation": None}
        return nn.Chain(
            conv1=self._conv(options, self.in_features, width, 1),
            conv2=self._conv(grouped, width, width, 3, self.strides),
            conv3=self._conv(last, width, self.out_features, 1),
        )


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
            fc=_network.linear(inside, self.num_classes, **options),
        )


@named_module
class ResNet(_Residual):
    """ResNet-18, 34, 50, 101 and 152, torchvision's version 1.5; ResNeXt and Wide ResNet too.

    Parameters with 1000 classes: 11,689,512 (18), 21,797,672 (34), 25,557,032 (50), 44,549,160
    (101) and 60,192,808 (152). With feature_group_count=32 and group_features=4, ResNeXt-50 32x4d,
    25,028,904; with group_features=128 alone, Wide ResNet-50-2, 68,883,240.

    Args:
      depth: 18, 34, 50, 101 or 152 layers with weights.
      num_classes: number of outputs.
      in_features: channels of the images.
      feature_group_count: groups of the wide convolutions, from depth 50 on.
      group_features: channels of such a group in the first stage, likewise.
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
      K. He, X. Zhang, S. Ren and J. Sun, Deep residual learning for image recognition, 2015;
      S. Xie, R. Girshick, P. Dollár, Z. Tu and K. He, Aggregated residual transformations for deep
      neural networks, 2017; S. Zagoruyko and N. Komodakis, Wide residual networks, 2016.
    """

    def __init__(
        self,
        depth: int = 50,
        num_classes: int = 1000,
        *,
        in_features: int = 3,
        feature_group_count: int = 1,
        group_features: int = 64,
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
        groups = geometry.whole_number("feature_group_count", feature_group_count, 1)
        inner = groups * geometry.whole_number("group_features", group_features, 1)
        block_options: dict[str, Any] = {"zero_init": zero_init}
        if (groups, inner) != (1, 64):
            if block is nn.BasicBlock:
                raise ValueError(
                    f"`depth` (={depth}) must be 50 or more with `feature_group_count` (={groups}) "
                    f"or `group_features` (={group_features}), which are of bottlenecks"
                )
            block = InnerBottleneck
            block_options |= {"share": inner / 64, "feature_group_count": groups}
        stem = nn.ConvBlock(in_features, 64, (7, 7), 2, padding=3, kernel_init=HE_INIT, **options)
        pool = nn.MaxPool((3, 3), strides=2, padding=1)
        self._build(
            {"stem": stem, "pool": pool},
            block,
            counts,
            (64, 128, 256, 512),
            options,
            block_options,
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
