"""DenseNet: every layer sees the outputs of all before it."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import geometry, nn
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.models import _network

HE_INIT = initial.variance_scaling(2.0, "fan_in", "normal")
_BEFORE = ("norm", "activation", "conv")  # the order of steps in all but the stem
_WIDER = 4  # times the growth is the width between the two convolutions of a layer


@named_module
class DenseLayer(nnx.Module):
    """Puts what two convolutions make of its inputs behind these.

        out = concatenate(x, conv2(relu(norm(conv1(relu(norm(x)))))))

    Args:
      in_features: channels of the inputs.
      growth: channels that are added.
      **options: dtype, param_dtype and rngs.
    """

    def __init__(self, in_features: int, growth: int, **options: Any):
        conv: dict[str, Any] = dict(order=_BEFORE, use_bias=False, kernel_init=HE_INIT, **options)
        self.branch = nn.Chain(
            conv1=nn.ConvBlock(in_features, _WIDER * growth, (1, 1), **conv),
            conv2=nn.ConvBlock(_WIDER * growth, growth, (3, 3), padding=1, **conv),
        )

    def __call__(
        self, inputs: Num[Array, "*batch height width in_features"]
    ) -> Inexact[Array, "*batch height width out_features"]:
        """Takes `(*batch, height, width, n)` to `(*batch, height, width, n + growth)`."""
        outputs = self.branch(inputs)
        return jnp.concatenate([inputs.astype(outputs.dtype), outputs], -1)


@named_module
class DenseNet(_network.Classifier):
    """DenseNet-121 by default: 7,978,856 parameters, torchvision's form.

    Args:
      num_classes: number of outputs.
      in_features: channels of the images.
      depths: layers of the stages; (6, 12, 32, 32) is DenseNet-169, (6, 12, 48, 32) is 201.
      growth: channels that each layer adds.
      remat: whether the backward pass computes the inner values of each layer anew.
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: "stem" (7x7, strides 2), "pool" (3x3, strides 2), "stage1" to "stage4" with
        "transition1" to "transition3" between them, which halve channels and sizes, "norm", "relu".
      classifier: the average over all pixels and one fully connected layer.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import DenseNet
      >>> model = nnx.eval_shape(lambda: DenseNet(rngs=nnx.Rngs(0)))
      >>> images = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
      >>> maps = nnx.eval_shape(lambda model, x: model.feature_maps(x), model, images)
      >>> maps["stage1"].shape, maps["stage4"].shape
      ((8, 56, 56, 256), (8, 7, 7, 1024))

    References:
      G. Huang, Z. Liu, L. van der Maaten and K. Weinberger, Densely connected convolutional
      networks, 2017.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        *,
        in_features: int = 3,
        depths: Sequence[int] = (6, 12, 24, 16),
        growth: int = 32,
        remat: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options = _network.options(rngs, dtype, param_dtype)
        self.num_classes = _network.classes(num_classes)
        self.in_features = in_features
        counts = geometry.axes_tuple("depths", depths)
        wide = geometry.whole_number("growth", growth, 1)
        again = checks.flag("remat", remat)
        inside = 2 * wide
        stem = nn.ConvBlock(
            in_features, inside, (7, 7), 2, padding=3, kernel_init=HE_INIT, **options
        )
        layers: dict[str, Any] = {"stem": stem, "pool": nn.MaxPool((3, 3), strides=2, padding=1)}
        for stage, count in enumerate(counts, 1):
            members = {}
            for index in range(1, count + 1):
                members[f"layer{index}"] = DenseLayer(inside, wide, **options)
                inside += wide
            layers[f"stage{stage}"] = nn.Chain(**members)
            layers[f"stage{stage}"].remat = again
            if stage < len(counts):
                conv: dict[str, Any] = dict(order=_BEFORE, use_bias=False, kernel_init=HE_INIT)
                layers[f"transition{stage}"] = nn.Chain(
                    conv=nn.ConvBlock(inside, inside // 2, (1, 1), **conv, **options),
                    pool=nn.AvgPool((2, 2), strides=2),
                )
                inside //= 2
        layers["norm"] = nn.batch_norm(inside, **options)
        layers["relu"] = nn.Activation("relu")
        self.features = nn.Chain(**layers)
        self.classifier = nn.Chain(
            pool=nn.GlobalAvgPool(spatial_axes=(-3, -2)),
            fc=nnx.Linear(inside, self.num_classes, **options),
        )
