"""Low-pass filtering before subsampling as a module."""

from flax import nnx
from jaxtyping import Array, Inexact, Num

from jaxcnn import functional, geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn.geometry import IntPerAxis, Padding


@named_module
class BlurPool(nnx.Module):
    """Averages windows with binomial weights: `functional.blur_pool`.

    Args:
      window_shape: taps of a window, a tuple with one int per spatial axis.
      strides: pixels between windows, per spatial axis; None means 1.
      padding: None, as in the paper, (k - 1) // 2 before and k // 2 after; or as in `WindowPool`.
      padding_mode: "reflect", "replicate", "circular" or "zeros".
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> nn.BlurPool((3, 3), strides=2)(jnp.ones((8, 15, 16, 6))).shape
      (8, 8, 8, 6)
    """

    def __init__(
        self,
        window_shape: tuple[int, ...],
        strides: IntPerAxis | None = None,
        padding: Padding | None = None,
        *,
        padding_mode: str = "reflect",
    ):
        self.window_shape = geometry.axes_tuple("window_shape", window_shape)
        rank = len(self.window_shape)
        self.strides = checks.per_axis("strides", strides, rank)
        if padding is not None:
            padding = checks.padding(padding, self.window_shape, (1,) * rank, fills=(), crop=False)
        self.padding = padding
        self.padding_mode = checks.choice("padding_mode", padding_mode, geometry.PADDING_MODES)

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial channels"]
    ) -> Inexact[Array, "*batch_and_out channels"]:
        """Pools `(*batch, *spatial, channels)` to `(*batch, *out, channels)`."""
        return functional.blur_pool(
            inputs,
            self.window_shape,
            self.strides,
            self.padding,
            padding_mode=self.padding_mode,
        )
