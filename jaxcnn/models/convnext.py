"""ConvNeXt: a convolutional network with the proportions of a vision transformer."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import geometry, nn
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.models import _network

INIT = initial.normal(0.02)
EPSILON = 1e-6


def exact_gelu(inputs: Array) -> Array:
    """x times the normal distribution's share below x; `nnx.gelu` itself approximates it."""
    return jax.nn.gelu(inputs, approximate=False)


@named_module
class ConvNeXtBlock(nnx.Module):
    """Every channel by itself over 7x7 pixels, then every pixel by itself through two layers.

        out = x + drop(layer_scale * fc2(gelu(fc1(norm(conv(x))))))

    Args:
      features: channels C of inputs and outputs; fc1 gives 4C.
      layer_scale: initial value of the factors.
      drop_rate: share of images whose branch is dropped in training, drawn from "dropout".
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      layer_scale: one learnt factor per channel, `(features,)`.
    """

    def __init__(
        self,
        features: int,
        *,
        layer_scale: float = 1e-6,
        drop_rate: float = 0.0,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options: dict[str, Any] = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.branch = nn.Chain(
            conv=nn.Conv(
                features,
                features,
                (7, 7),
                padding=3,
                feature_group_count=features,
                kernel_init=INIT,
                **options,
            ),
            norm=_network.layer_norm(features, epsilon=EPSILON, **options),
            fc1=_network.linear(features, 4 * features, kernel_init=INIT, **options),
            gelu=nn.Activation(exact_gelu),
            fc2=_network.linear(4 * features, features, kernel_init=INIT, **options),
        )
        self.layer_scale = nnx.Param(jnp.full((features,), layer_scale, param_dtype))
        self.drop = _network.dropout(drop_rate, rngs, (-3, -2, -1))

    def __call__(
        self, inputs: Num[Array, "*batch height width features"]
    ) -> Inexact[Array, "*batch height width features"]:
        """Takes `(*batch, height, width, features)` to the same shape."""
        outputs = self.branch(inputs)
        scale = self.layer_scale[...].astype(outputs.dtype)
        outputs = self.drop(outputs * scale.reshape((1,) * (outputs.ndim - 1) + (-1,)))
        return outputs + inputs.astype(outputs.dtype)


@named_module
class ConvNeXtTiny(_network.Classifier):
    """ConvNeXt-T, torchvision's form: 28,589,128 parameters.

    Other depths and widths give the rest of the family; Small has depths (3, 3, 27, 3), and Base
    these and widths (128, 256, 512, 1024).

    Args:
      num_classes: number of outputs.
      in_features: channels of the images.
      depths: blocks of the four stages.
      widths: channels of the four stages.
      layer_scale: initial value of the factors of each branch.
      stochastic_depth: share of images for which the last block's branch is dropped in training;
        0 for the first block's, evenly more from block to block. Drawn from the stream "dropout".
      remat: whether the backward pass computes the inner values of each block anew.
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: "stem" (4x4, strides 4), "stage1" to "stage4", each but the first with a
        normalisation and a convolution of 2x2, strides 2, before its blocks.
      classifier: the average over all pixels, a normalisation and one fully connected layer.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import ConvNeXtTiny
      >>> model = nnx.eval_shape(lambda: ConvNeXtTiny(rngs=nnx.Rngs(0)))
      >>> images = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
      >>> maps = nnx.eval_shape(lambda model, x: model.feature_maps(x), model, images)
      >>> maps["stem"].shape, maps["stage4"].shape
      ((8, 56, 56, 96), (8, 7, 7, 768))

    References:
      Z. Liu, H. Mao, C.-Y. Wu, C. Feichtenhofer, T. Darrell and S. Xie, A ConvNet for the 2020s,
      2022; G. Huang, Y. Sun, Z. Liu, D. Sedra and K. Weinberger, Deep networks with stochastic
      depth, 2016.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        *,
        in_features: int = 3,
        depths: Sequence[int] = (3, 3, 9, 3),
        widths: Sequence[int] = (96, 192, 384, 768),
        layer_scale: float = 1e-6,
        stochastic_depth: float = 0.1,
        remat: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options: dict[str, Any] = _network.options(rngs, dtype, param_dtype)
        self.num_classes = _network.classes(num_classes)
        self.in_features = in_features
        counts = geometry.axes_tuple("depths", depths)
        sizes = geometry.axes_tuple("widths", widths)
        if len(counts) != len(sizes):
            raise ValueError(
                f"`widths` (={sizes}) must have one entry for each of the {len(counts)} "
                f"stages in `depths` {counts}"
            )
        rate = _network.fraction("stochastic_depth", stochastic_depth)
        again = checks.flag("remat", remat)
        last = max(sum(counts) - 1, 1)

        def norm(width: int) -> nnx.LayerNorm:
            return _network.layer_norm(width, epsilon=EPSILON, **options)

        def shrink(inside: int, outside: int, by: int) -> nn.Conv:
            return nn.Conv(
                inside, outside, (by, by), by, padding="VALID", kernel_init=INIT, **options
            )

        stages: dict[str, Any] = {
            "stem": nn.Chain(conv=shrink(in_features, sizes[0], 4), norm=norm(sizes[0]))
        }
        done = 0
        for stage, (count, width) in enumerate(zip(counts, sizes, strict=True), 1):
            layers: dict[str, Any] = {}
            if stage > 1:
                layers["norm"] = norm(sizes[stage - 2])
                layers["conv"] = shrink(sizes[stage - 2], width, 2)
            for index in range(1, count + 1):
                layers[f"block{index}"] = ConvNeXtBlock(
                    width, layer_scale=layer_scale, drop_rate=rate * done / last, **options
                )
                done += 1
            stages[f"stage{stage}"] = nn.Chain(**layers)
            stages[f"stage{stage}"].remat = again
        self.features = nn.Chain(**stages)
        self.classifier = nn.Chain(
            pool=nn.GlobalAvgPool(spatial_axes=(-3, -2)),
            norm=norm(sizes[-1]),
            fc=_network.linear(sizes[-1], self.num_classes, kernel_init=INIT, **options),
        )
