"""The fastai chapter's network: strides in place of pools, one size after another."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxcnn import geometry, nn
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn.models import _network


@named_module
class SimpleCNN(_network.Classifier):
    """Convolutions with strides 2 until one pixel is left, whose channels are the logits.

    The defaults are the chapter's network for ten digits; its first, for threes and sevens, is
    `SimpleCNN(2, widths=(4, 8, 16, 32), first_kernel_size=3, batch_normalized=False)`. On 28x28:

        conv1  5x5   14x14x8     208
        conv2  3x3   7x7x16      1,168
        conv3  3x3   4x4x32      4,640
        conv4  3x3   2x2x64      18,496
        conv   3x3   1x1x10      5,770

    30,282 parameters, and 260 more with batch normalisation, which follows every convolution and
    comes before the ReLU; the last has no ReLU. Larger images leave more than one pixel; the logits
    are then averages.

    Args:
      num_classes: number of outputs.
      in_features: channels of the images.
      widths: channels of all convolutions but the last.
      first_kernel_size: taps of the first convolution along each axis, odd.
      batch_normalized: whether each convolution is followed by batch normalisation.
      rngs: draws the parameters.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
    Attributes:
      features: all convolutions but the last.
      classifier: the last convolution, and the average over what pixels are left.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import SimpleCNN
      >>> model = SimpleCNN(widths=(8, 16), rngs=nnx.Rngs(0))
      >>> images = jnp.ones((8, 28, 28, 1))
      >>> model(images).shape
      (8, 10)
      >>> [maps.shape for maps in model.feature_maps(images).values()]
      [(8, 14, 14, 8), (8, 7, 7, 16)]

    References:
      J. Howard and S. Gugger, Deep learning for coders with fastai and PyTorch, 2020, chapter 13.
    """

    def __init__(
        self,
        num_classes: int = 10,
        *,
        in_features: int = 1,
        widths: Sequence[int] = (8, 16, 32, 64),
        first_kernel_size: int = 5,
        batch_normalized: bool = True,
        rngs: nnx.Rngs,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
    ):
        options: dict[str, Any] = _network.options(rngs, dtype, param_dtype)
        self.num_classes = _network.classes(num_classes)
        self.in_features = in_features
        sizes = geometry.axes_tuple("widths", widths)
        first = geometry.whole_number("first_kernel_size", first_kernel_size, 1)
        if first % 2 == 0:
            raise ValueError(f"`first_kernel_size` (={first}) must be odd")
        normalized = checks.flag("batch_normalized", batch_normalized)
        options["norm"] = nn.batch_norm if normalized else None
        options["use_bias"] = True
        layers, inside = {}, in_features
        for index, width in enumerate(sizes, 1):
            taps = first if index == 1 else 3
            layers[f"conv{index}"] = nn.ConvBlock(
                inside, width, (taps, taps), 2, padding=taps // 2, **options
            )
            inside = width
        self.features = nn.Chain(**layers)
        self.classifier = nn.Chain(
            conv=nn.ConvBlock(
                inside, self.num_classes, (3, 3), 2, padding=1, activation=None, **options
            ),
            pool=nn.GlobalAvgPool(spatial_axes=(-3, -2)),
        )
