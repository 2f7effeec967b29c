"""Depthwise and separable convolution as modules."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import functional
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering.problem import Precision
from jaxcnn.nn._layer import ConvLayer, array_of, with_array


@named_module
class DepthwiseConv(ConvLayer):
    """Convolves every channel with kernels of its own: `functional.depthwise_conv`.

    Args:
      in_features: channels of the inputs.
      kernel_size: taps per spatial axis.
      strides: pixels between windows, per spatial axis.
      multiplier: kernels, and so outputs, per channel.
      padding: as in `functional.conv`.
      kernel_dilation: pixels between neighbouring taps.
      use_bias: whether to add one number per output feature.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
      precision: of the products, as `jax.lax.Precision`.
      kernel_init: draws `kernel`, `(*kernel_size, in_features, multiplier)`; asked for
        `(*kernel_size, 1, out_features)`, whose fan-in is that of a unit. So it starts equal to
        `Conv` with as many groups as channels. A partitioning names the axes of `kernel`.
      bias_init: draws `bias`, `(in_features * multiplier,)`.
      rngs: random streams; "params" is drawn from, the kernel first.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> layer = nn.DepthwiseConv(3, (3, 3), strides=2, multiplier=2, rngs=nnx.Rngs(0))
      >>> layer.kernel.shape, layer(jnp.ones((8, 32, 28, 3))).shape
      ((3, 3, 3, 2), (8, 16, 14, 6))
    """

    def __init__(
        self,
        in_features: int,
        kernel_size: Sequence[int],
        strides: IntPerAxis = 1,
        *,
        multiplier: int = 1,
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
        self.multiplier = checks.features("multiplier", multiplier)
        inside = checks.features("in_features", in_features)
        super().__init__(
            inside,
            inside * self.multiplier,
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
        size = self.kernel_size
        kernel = self._draw("kernel_init", kernel_init, (*size, 1, self.out_features), rngs)
        apart = array_of(kernel).reshape((*size, inside, self.multiplier))
        self.kernel = nnx.Param(with_array(kernel, apart))
        self.bias = self._draw_bias(bias_init, (self.out_features,), rngs)

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial in_features"]
    ) -> Inexact[Array, "*batch_and_out out_features"]:
        """Convolves `(*batch, *spatial, in_features)` to `(*batch, *out, out_features)`."""
        inputs, kernel, bias = self._promoted(inputs, self.kernel, self.bias)
        return functional.depthwise_conv(inputs, kernel, bias, **self._options())


@named_module
class SeparableConv(ConvLayer):
    """Convolves every channel by itself, then mixes the channels: `functional.separable_conv`.

    Args:
      in_features: channels of the inputs.
      out_features: channels of the outputs.
      kernel_size: taps per spatial axis, of the depthwise step.
      strides: pixels between windows, per spatial axis.
      multiplier: kernels per channel in the depthwise step.
      padding: as in `functional.conv`.
      kernel_dilation: pixels between neighbouring taps.
      use_bias: whether to add one number per output feature.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
      precision: of the products, as `jax.lax.Precision`.
      kernel_init: draws `depthwise_kernel`, `(*kernel_size, in_features, multiplier)`, as in
        `DepthwiseConv`, and `pointwise_kernel`, `(*ones, in_features * multiplier, out_features)`;
        a partitioning names the last two axes of both.
      bias_init: draws `bias`, `(out_features,)`.
      rngs: random streams; "params" is drawn from, in the order above.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> layer = nn.SeparableConv(64, 128, (3, 3), use_bias=False, rngs=nnx.Rngs(0))
      >>> layer.depthwise_kernel.size + layer.pointwise_kernel.size  # 3*3*64*128 = 73,728 if dense
      8768
      >>> layer(jnp.ones((8, 16, 16, 64))).shape
      (8, 16, 16, 128)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sequence[int],
        strides: IntPerAxis = 1,
        *,
        multiplier: int = 1,
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
            strides,
            padding=padding,
            kernel_dilation=kernel_dilation,
            use_bias=use_bias,
            dtype=dtype,
            param_dtype=param_dtype,
            precision=precision,
            rngs=rngs,
        )
        self.multiplier = checks.features("multiplier", multiplier)
        size, between = self.kernel_size, self.in_features * self.multiplier
        depthwise = self._draw("kernel_init", kernel_init, (*size, 1, between), rngs)
        apart = array_of(depthwise).reshape((*size, self.in_features, self.multiplier))
        self.depthwise_kernel = nnx.Param(with_array(depthwise, apart))
        ones = (1,) * len(size)
        self.pointwise_kernel = nnx.Param(
            self._draw("kernel_init", kernel_init, (*ones, between, self.out_features), rngs)
        )
        self.bias = self._draw_bias(bias_init, (self.out_features,), rngs)

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial in_features"]
    ) -> Inexact[Array, "*batch_and_out out_features"]:
        """Convolves `(*batch, *spatial, in_features)` to `(*batch, *out, out_features)`."""
        inputs, depthwise, pointwise, bias = self._promoted(
            inputs, self.depthwise_kernel, self.pointwise_kernel, self.bias
        )
        return functional.separable_conv(inputs, depthwise, pointwise, bias, **self._options())
