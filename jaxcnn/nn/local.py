"""Convolution without parameter sharing as a module."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import functional, geometry
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering.problem import Precision
from jaxcnn.nn._layer import ConvLayer, array_of, with_array


@named_module
class ConvLocal(ConvLayer):
    """Convolution with a kernel and a bias of its own at every place: `functional.conv_local`.

    Its parameters belong to places, so that the spatial sizes of the inputs are fixed.

    Args:
      in_features: channels of the inputs.
      out_features: channels of the outputs.
      kernel_size: taps per spatial axis.
      input_shape: spatial sizes of the inputs.
      strides: pixels between windows, per spatial axis.
      padding: as in `functional.conv`.
      kernel_dilation: pixels between neighbouring taps.
      use_bias: whether to add one number per place and output feature.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
      precision: of the products, as `jax.lax.Precision`.
      kernel_init: draws `kernel`, `(*out, *kernel_size, in_features, out_features)`; asked for
        `(*kernel_size, in_features, prod(out) * out_features)`, whose fan-in is that of a unit. A
        partitioning names the axes of `kernel`.
      bias_init: draws `bias`, `(*out, out_features)`.
      rngs: random streams; "params" is drawn from, the kernel first.
    Raises:
      ValueError: an option is out of range, or a window does not fit.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> layer = nn.ConvLocal(1, 6, (5, 5), (28, 28), padding="VALID", rngs=nnx.Rngs(0))
      >>> layer.kernel.shape, layer.kernel.size
      ((24, 24, 5, 5, 1, 6), 86400)
      >>> layer(jnp.ones((8, 28, 28, 1))).shape
      (8, 24, 24, 6)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sequence[int],
        input_shape: Sequence[int],
        strides: IntPerAxis = 1,
        *,
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
        size, rank = self.kernel_size, len(self.kernel_size)
        self.input_shape = geometry.axes_tuple("input_shape", input_shape)
        if len(self.input_shape) != rank:
            raise ValueError(
                f"`input_shape` (={self.input_shape}) must have one entry for each of "
                f"the {rank} spatial axes of the kernel {size}"
            )
        amounts, _ = geometry.fill_and_amounts(self.padding, "zeros", size, self.kernel_dilation)
        out = geometry.windows(
            self.input_shape,
            size,
            strides=self.strides,
            padding=amounts,
            dilation=self.kernel_dilation,
            crop=True,
            window_argument="kernel_size",
            dilation_argument="kernel_dilation",
        ).output_shape
        places = math.prod(out)
        shape = (*size, self.in_features, places * self.out_features)
        kernel = self._draw("kernel_init", kernel_init, shape, rngs)
        apart = array_of(kernel).reshape((*shape[:-1], *out, self.out_features))
        apart = jnp.moveaxis(apart, range(rank + 1, 2 * rank + 1), range(rank))
        self.kernel = nnx.Param(with_array(kernel, apart))
        self.bias = self._draw_bias(bias_init, (*out, self.out_features), rngs)

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial in_features"]
    ) -> Inexact[Array, "*batch_and_out out_features"]:
        """Convolves `(*batch, *input_shape, in_features)` to `(*batch, *out, out_features)`."""
        inputs, kernel, bias = self._promoted(inputs, self.kernel, self.bias)
        sizes = inputs.shape[-len(self.input_shape) - 1 : -1]
        if sizes != self.input_shape:
            raise ValueError(
                f"`inputs` must have the spatial sizes {self.input_shape}, to which the "
                f"kernels belong; received inputs {inputs.shape}"
            )
        return functional.conv_local(inputs, kernel, bias, **self._options())
