"""Deformable convolution as a module that learns where to look."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import functional, geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering.problem import Precision
from jaxcnn.nn._layer import ConvLayer
from jaxcnn.nn.conv import Conv


@named_module
class DeformConv(ConvLayer):
    """Convolution at positions moved by offsets that a second one predicts.

    The second convolution, `offsets`, has the same windows and starts at zero, so that the first
    step is one of plain convolution; modulated (version 2), every sample is also weighted by a
    factor between 0 and 1, which starts at 1/2. The rest is `functional.deform_conv`.

    Args:
      in_features: channels of the inputs.
      out_features: channels of the outputs.
      kernel_size: taps per spatial axis.
      strides: pixels between windows, per spatial axis.
      padding: "SAME", "SAME_LOWER", "VALID", "FULL", "CAUSAL", an int, or an int or (low, high)
        pair per spatial axis.
      kernel_dilation: pixels between neighbouring taps.
      feature_group_count: groups of channels that see one another alone.
      offset_group_count: groups of input channels that share offsets and factors.
      modulated: whether samples are weighted.
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
      >>> layer = nn.DeformConv(3, 16, (3, 3), rngs=nnx.Rngs(0))
      >>> layer.offsets.out_features  # 9 taps, each with a move along 2 axes and a factor
      27
      >>> layer(jnp.ones((2, 8, 9, 3))).shape
      (2, 8, 9, 16)

    References:
      J. Dai et al., Deformable convolutional networks, 2017.
      X. Zhu, H. Hu, S. Lin and J. Dai, Deformable ConvNets v2, 2019.
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
        offset_group_count: int = 1,
        modulated: bool = True,
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
            fills=(),
        )
        self.feature_group_count = checks.groups(
            feature_group_count,
            in_features=self.in_features,
            out_features=self.out_features,
        )
        self.offset_group_count = geometry.whole_number("offset_group_count", offset_group_count, 1)
        if self.in_features % self.offset_group_count:
            raise ValueError(
                f"`offset_group_count` (={offset_group_count}) must divide "
                f"`in_features` (={self.in_features})"
            )
        self.modulated = checks.flag("modulated", modulated)
        per_group = self.in_features // self.feature_group_count
        shape = (*self.kernel_size, per_group, self.out_features)
        self.kernel = nnx.Param(self._draw("kernel_init", kernel_init, shape, rngs))
        self.bias = self._draw_bias(bias_init, (self.out_features,), rngs)
        self.offsets = Conv(
            self.in_features,
            self.samples * (len(self.kernel_size) + self.modulated),
            self.kernel_size,
            self.strides,
            padding=self.padding,
            kernel_dilation=self.kernel_dilation,
            kernel_init=initial.BIAS_INIT,
            dtype=dtype,
            param_dtype=param_dtype,
            precision=precision,
            rngs=rngs,
        )

    @property
    def samples(self) -> int:
        """Samples that an output pixel takes, over all offset groups."""
        return self.offset_group_count * math.prod(self.kernel_size)

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial in_features"]
    ) -> Inexact[Array, "*batch_and_out out_features"]:
        """Convolves `(*batch, *spatial, in_features)` to `(*batch, *out, out_features)`."""
        inputs, kernel, bias = self._promoted(inputs, self.kernel, self.bias)
        predicted = self.offsets(inputs)
        moves = self.samples * len(self.kernel_size)
        factors = jax.nn.sigmoid(predicted[..., moves:]) if self.modulated else None
        return functional.deform_conv(
            inputs,
            kernel,
            predicted[..., :moves],
            bias=bias,
            mask=factors,
            feature_group_count=self.feature_group_count,
            offset_group_count=self.offset_group_count,
            **self._options(),
        )
