"""The dilated context network: VGG-16 without its last pools, then a wide view."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import geometry, nn
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.lowering.resize import resize
from jaxcnn.models import _network
from jaxcnn.nn.residual import HE_INIT

# Channels of each convolution relative to the number of classes, in the two forms of the paper.
CONTEXTS = {"basic": None, "large": (2, 2, 4, 8, 16, 32, 32)}
CONVS = (2, 2, 3, 3, 3)


@named_module
class DilatedContext(nnx.Module):
    """Segments images without losing their resolution: one logit per class and pixel.

        stage1, stage2, stage3   3x3 convolutions and a pool of 2x2 each, as in VGG-16
        stage4                   three convolutions, no pool
        stage5                   three convolutions, kernel dilation 2 in place of the pool before
        dense                    VGG's first fully connected layer as a convolution of 7x7 taps,
                                 kernel dilation 4 for the two pools left out; the second as 1x1
        scores                   one score per class, at an eighth of the sizes
        context                  `nn.ContextBlock` on the scores, which starts as the identity

    and the scores are interpolated back to the sizes of the images, which may be any.

    Parameters with 21 classes: 134,374,973 with the basic context block.

    Args:
      num_classes: logits per pixel.
      in_features: channels of the images.
      widths: channels of the five stages.
      hidden_features: channels of the two layers in "dense".
      context: "basic", "large" (more channels, the more the wider the view), or None.
      dropout: share of activations after each layer of "dense" set to 0 in training, drawn from
        the stream "dropout".
      noise: standard deviation of the context's weights that the identity leaves 0.
      remat: whether the backward pass computes the inner values of each stage anew.
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: from images to `(*batch, ceil(h / 8), ceil(w / 8), hidden_features)`, "stage1" to
        "stage5" and "dense".
      classifier: from there to scores of the same size, "scores" and "context".
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import DilatedContext
      >>> model = nnx.eval_shape(lambda: DilatedContext(21, rngs=nnx.Rngs(0)))
      >>> images = jax.ShapeDtypeStruct((8, 500, 375, 3), jnp.float32)
      >>> nnx.eval_shape(lambda model, x: model(x), model, images).shape
      (8, 500, 375, 21)
      >>> nnx.eval_shape(lambda model, x: model.features(x), model, images).shape
      (8, 63, 47, 4096)

    References:
      F. Yu and V. Koltun, Multi-scale context aggregation by dilated convolutions, 2016.
    """

    def __init__(
        self,
        num_classes: int = 21,
        *,
        in_features: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        hidden_features: int = 4096,
        context: str | None = "basic",
        dropout: float = 0.5,
        noise: float = 0.0,
        remat: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options = _network.options(rngs, dtype, param_dtype)
        self.num_classes = _network.classes(num_classes)
        self.in_features = in_features
        sizes = geometry.axes_tuple("widths", widths)
        if len(sizes) != 5:
            raise ValueError(f"`widths` (={sizes}) must have five entries")
        wide = geometry.whole_number("hidden_features", hidden_features, 1)
        if context is not None:
            checks.choice("context", context, tuple(CONTEXTS))
        rate = _network.fraction("dropout", dropout)
        common: dict[str, Any] = dict(norm=None, kernel_init=HE_INIT, **options)
        stages, inside = {}, in_features
        for stage, (count, width) in enumerate(zip(CONVS, sizes, strict=True), 1):
            layers: dict[str, Any] = {}
            for index in range(1, count + 1):
                layers[f"conv{index}"] = nn.ConvBlock(
                    inside, width, (3, 3), kernel_dilation=2 if stage == 5 else 1, **common
                )
                inside = width
            if stage < 4:
                layers["pool"] = nn.MaxPool((2, 2), strides=2, padding="SAME")
            stages[f"stage{stage}"] = nn.Chain(**layers)
        stages["dense"] = nn.Chain(
            conv1=nn.ConvBlock(inside, wide, (7, 7), kernel_dilation=4, **common),
            dropout1=_network.dropout(rate, rngs),
            conv2=nn.ConvBlock(wide, wide, (1, 1), **common),
            dropout2=_network.dropout(rate, rngs),
        )
        self.features = nn.Chain(**stages)
        self.features.remat = checks.flag("remat", remat)
        head: dict[str, Any] = {"scores": nn.Conv(wide, self.num_classes, (1, 1), **options)}
        if context is not None:
            head["context"] = nn.ContextBlock(
                self.num_classes, widths=CONTEXTS[context], noise=noise, **options
            )
        self.classifier = nn.Chain(**head)

    def __call__(
        self, inputs: Num[Array, "*batch height width in_features"]
    ) -> Inexact[Array, "*batch height width num_classes"]:
        """Gives logits `(*batch, h, w, num_classes)` for images `(*batch, h, w, in_features)`."""
        inputs = _network.image(inputs, (-1, -1, self.in_features))
        scores = self.classifier(self.features(inputs))
        rows, columns = scores.shape[-3:-1]
        height, width = inputs.shape[-3:-1]
        # Eight times as large first, so that scores lie over their pixels; pools rounded up.
        resized = _resized(scores, sizes=(8 * rows, 8 * columns))
        return resized[..., :height, :width, :]

    def feature_maps(
        self, inputs: Num[Array, "*batch height width in_features"]
    ) -> dict[str, Array]:
        """What every stage gives, then the scores and the context's, by name, in order."""
        inputs = _network.image(inputs, (-1, -1, self.in_features))
        maps = self.features.outputs(inputs)
        return {**maps, **self.classifier.outputs(maps["dense"])}


@planned("scores")
def _resized(scores: Any, sizes: tuple[int, ...]) -> Array:
    """Interpolates linearly.

    By weighted slices: XLA 0.10.2 for an H100, without one at hand, fails on the products of
    matrices in `jax.image.resize`.
    """
    batch = scores.ndim - 3
    return to_run(_interpolated, batch=batch, images=("scores",), sizes=sizes)


def _interpolated(scores: Array, *, sizes: tuple[int, ...]) -> Array:
    return resize(scores, sizes, "linear")
