"""GoogLeNet: modules of four branches side by side."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
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

# Channels of the branches of every module, as in the paper's table 1: one tap; three taps, reduced
# and then; five taps, likewise; after the pool. By stage.
MODULES = MappingProxyType(
    {
        "3": ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
        "4": (
            (192, 96, 208, 16, 48, 64),
            (160, 112, 224, 24, 64, 64),
            (128, 128, 256, 24, 64, 64),
            (112, 144, 288, 32, 64, 64),
            (256, 160, 320, 32, 128, 128),
        ),
        "5": ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
    }
)
_COLUMNS = "one, reduce3, three, reduce5, five, pooled"
INIT = initial.truncated_normal(0.01)


@named_module
class Inception(nnx.Module):
    """One tap, three taps, three taps in place of five, and a pool: side by side.

    torchvision's third branch has three taps where the paper's has five, and so have its weights.

    Args:
      in_features: channels of the inputs.
      widths: (one, reduce3, three, reduce5, five, pooled) channels.
      **options: dtype, param_dtype and rngs.
    """

    def __init__(self, in_features: int, widths: Sequence[int], **options: Any):
        one, reduce3, three, reduce5, five, pooled = widths
        self.branch1 = conv(in_features, one, 1, **options)
        self.branch2 = nn.Chain(
            reduce=conv(in_features, reduce3, 1, **options), conv=conv(reduce3, three, 3, **options)
        )
        self.branch3 = nn.Chain(
            reduce=conv(in_features, reduce5, 1, **options), conv=conv(reduce5, five, 3, **options)
        )
        self.branch4 = nn.Chain(
            pool=nn.MaxPool((3, 3), strides=1, padding=1),
            conv=conv(in_features, pooled, 1, **options),
        )
        self.out_features = one + three + five + pooled

    def __call__(
        self, inputs: Num[Array, "*batch height width in_features"]
    ) -> Inexact[Array, "*batch height width out_features"]:
        """Takes `(*batch, height, width, in_features)` to as many pixels."""
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return jnp.concatenate([branch(inputs) for branch in branches], -1)


@named_module
class GoogLeNet(_network.Classifier):
    """Nine modules in three stages, torchvision's form: 6,624,904 parameters.

    That form has batch normalisation after each convolution. The two classifiers that the paper
    puts on the way are left out: where weights hold them, `load_torch` takes
    skip=("aux1", "aux2").

    Args:
      num_classes: number of outputs.
      in_features: channels of the images.
      modules: widths of the branches of every module, by the name of the stage.
      dropout: share of the averages set to 0 in training, drawn from the stream "dropout".
      remat: whether the backward pass computes the inner values of each module anew.
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: "conv1" (7x7, strides 2), "pool1", "conv2", "conv3", "pool2", "inception3a" to
        "inception5b", with "pool3" and "pool4" between the stages.
      classifier: the average over all pixels and one fully connected layer.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import GoogLeNet
      >>> model = nnx.eval_shape(lambda: GoogLeNet(rngs=nnx.Rngs(0)))
      >>> images = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
      >>> maps = nnx.eval_shape(lambda model, x: model.feature_maps(x), model, images)
      >>> maps["inception3a"].shape, maps["inception5b"].shape
      ((8, 28, 28, 256), (8, 7, 7, 1024))

    References:
      C. Szegedy et al., Going deeper with convolutions, 2015; S. Ioffe and C. Szegedy, Batch
      normalization, 2015.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        *,
        in_features: int = 3,
        modules: Mapping[str, Sequence[Sequence[int]]] = MODULES,
        dropout: float = 0.2,
        remat: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options = _network.options(rngs, dtype, param_dtype)
        self.num_classes = _network.classes(num_classes)
        self.in_features = in_features
        if not isinstance(modules, Mapping) or not modules:
            raise TypeError(f"`modules` (={modules!r}) must be a mapping from stages to widths")
        rate = _network.fraction("dropout", dropout)
        layers: dict[str, Any] = {
            "conv1": conv(in_features, 64, 7, 2, **options),
            "pool1": _pool(3),
            "conv2": conv(64, 64, 1, **options),
            "conv3": conv(64, 192, 3, **options),
            "pool2": _pool(3),
        }
        inside, last = 192, list(modules)[-1]
        for stage, rows in modules.items():
            rows = _network.table("modules", rows, _COLUMNS)
            for index, widths in enumerate(rows):
                module = Inception(inside, widths, **options)
                layers[f"inception{stage}{chr(ord('a') + index)}"] = module
                inside = module.out_features
            if stage != last:
                layers[f"pool{stage}"] = _pool(3 if stage == "3" else 2)
        self.features = nn.Chain(**layers)
        self.features.remat = checks.flag("remat", remat)
        self.classifier = nn.Chain(
            pool=nn.GlobalAvgPool(spatial_axes=(-3, -2)),
            dropout=_network.dropout(rate, rngs),
            fc=nnx.Linear(inside, self.num_classes, kernel_init=INIT, **options),
        )


def conv(inside: int, outside: int, taps: int, strides: int = 1, **options: Any) -> nn.ConvBlock:
    """A convolution, its normalisation and a ReLU."""
    return nn.ConvBlock(
        inside, outside, (taps, taps), strides, padding=taps // 2, norm=_norm, kernel_init=INIT,
        **options,
    )  # fmt: skip


def _norm(features: int, **options: Any) -> nnx.BatchNorm:
    return nn.batch_norm(features, epsilon=1e-3, **options)


def _pool(taps: int) -> nn.MaxPool:
    """Halves the sizes, and rounds up: with a pixel of padding behind."""
    return nn.MaxPool((taps, taps), strides=2, padding=[(0, 1)] * 2)
