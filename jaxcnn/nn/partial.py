"""Convolution of images with holes as a module."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num, Shaped

from jaxcnn import functional
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering.problem import Precision
from jaxcnn.nn._layer import ConvLayer


@named_module
class PartialConv(ConvLayer):
    """Convolves the valid pixels alone, scaled up for the missing ones: `functional.partial_conv`.

    Args:
      in_features: channels of the inputs.
      out_features: channels of the outputs.
      kernel_size: taps per spatial axis.
      strides: pixels between windows, per spatial axis.
      padding: as in `functional.conv`; pixels of zeros are missing ones.
      kernel_dilation: pixels between neighbouring taps.
      feature_group_count: groups of channels that see one another alone.
      use_bias: whether to add one number per output feature.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
      precision: of the products, as `jax.lax.Precision`.
      kernel_init: draws `kernel`, `(*kernel_size, in_features / feature_group_count,
        out_features)`.
      bias_init: draws `bias`, `(out_features,)`.
      rngs: random streams; "params" is drawn from, the kernel first.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> layer = nn.PartialConv(3, 16, (3, 3), strides=2, rngs=nnx.Rngs(0))
      >>> outputs, mask = layer(jnp.ones((8, 32, 28, 3)), jnp.ones((8, 32, 28, 1)))
      >>> outputs.shape, mask.shape
      ((8, 16, 14, 16), (8, 16, 14, 1))
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sequence[int],
        strides: IntPerAxis = 1,
        *,
        padding: Padding = "SAME",
        kernel_dilation: IntPerAxis = 1,
        feature_group_count: int = 1,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: Precision = None,
        kernel_init: Callable[..., Any] = initial.KERNEL_INIT,
        bias_init: Callable[..., Any] = initial.BIAS_INIT,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            in_features,
            out_features,
            kernel_size,
            strides,
            padding=padding,
            kernel_dilation=kernel_dilation,
            use_bias=use_bias,
            dtype=dtype,
            param_dtype=param_dtype,
            precision=precision,
            rngs=rngs,
        )
        self.feature_group_count = checks.groups(
            feature_group_count,
            in_features=self.in_features,
            out_features=self.out_features,
        )
        per_group = self.in_features // self.feature_group_count
        shape = (*self.kernel_size, per_group, self.out_features)
        self.kernel = nnx.Param(self._draw("kernel_init", kernel_init, shape, rngs))
        self.bias = self._draw_bias(bias_init, (self.out_features,), rngs)

    def __call__(
        self,
        inputs: Num[Array, "*batch_and_spatial in_features"],
        mask: Shaped[Array, "*some_batch_and_spatial one_or_in_features"],
    ) -> tuple[
        Inexact[Array, "*batch_and_out out_features"], Shaped[Array, "*some_batch_and_out masks"]
    ]:
        """Convolves `(*batch, *spatial, in_features)` and says where a window met a valid pixel.

        Args:
          inputs: any number of batch axes, none included.
          mask: `(*batch, *spatial, 1)` or one per channel; a pixel is valid where it is not 0.
        Returns:
          `(*batch, *out, out_features)` and the mask for the next layer.
        """
        inputs, kernel, bias = self._promoted(inputs, self.kernel, self.bias)
        return functional.partial_conv(
            inputs,
            kernel,
            mask,
            bias,
            feature_group_count=self.feature_group_count,
            **self._options(),
        )
