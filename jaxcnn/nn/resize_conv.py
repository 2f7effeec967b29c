"""Upsampling followed by a convolution as a module."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import functional, geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering import resize
from jaxcnn.lowering.problem import Precision
from jaxcnn.nn._layer import ConvLayer


@named_module
class ResizeConv(ConvLayer):
    """Upsamples and convolves, without a transposed convolution's checkerboard.

    The layer of `functional.resize_conv`.

    Args:
      in_features: channels of the inputs.
      out_features: channels of the outputs.
      kernel_size: taps per spatial axis.
      scale: how many times larger the outputs are, a whole number, per spatial axis.
      method: "nearest" or "linear".
      padding: of the convolution, on the resized plane.
      kernel_dilation: pixels between neighbouring taps.
      use_bias: whether to add one number per output feature.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
      precision: of the products, as `jax.lax.Precision`.
      kernel_init: draws `kernel`, `(*kernel_size, in_features, out_features)`.
      bias_init: draws `bias`, `(out_features,)`.
      rngs: random streams; "params" is drawn from, the kernel first.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> layer = nn.ResizeConv(16, 4, (3, 3), scale=2, rngs=nnx.Rngs(0))
      >>> layer.kernel.shape, layer(jnp.ones((8, 7, 9, 16))).shape
      ((3, 3, 16, 4), (8, 14, 18, 4))

    References:
      A. Odena, V. Dumoulin and C. Olah, Deconvolution and checkerboard artifacts, Distill, 2016.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sequence[int],
        scale: IntPerAxis = 2,
        *,
        method: str = "nearest",
        padding: Padding = "SAME",
        kernel_dilation: IntPerAxis = 1,
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
            1,
            padding=padding,
            kernel_dilation=kernel_dilation,
            use_bias=use_bias,
            dtype=dtype,
            param_dtype=param_dtype,
            precision=precision,
            rngs=rngs,
        )
        self.scale = geometry.per_axis("scale", scale, len(self.kernel_size))
        self.method = checks.choice("method", method, resize.METHODS)
        shape = (*self.kernel_size, self.in_features, self.out_features)
        self.kernel = nnx.Param(self._draw("kernel_init", kernel_init, shape, rngs))
        self.bias = self._draw_bias(bias_init, (self.out_features,), rngs)

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial in_features"]
    ) -> Inexact[Array, "*batch_and_out out_features"]:
        """Takes `(*batch, *spatial, in_features)` to `(*batch, *out, out_features)`."""
        inputs, kernel, bias = self._promoted(inputs, self.kernel, self.bias)
        options = self._options()
        del options["strides"]
        return functional.resize_conv(
            inputs, kernel, bias, scale=self.scale, method=self.method, **options
        )
