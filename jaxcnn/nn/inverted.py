"""The inverted residual block: wide in the middle, narrow at both ends."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn.nn.block import ConvBlock
from jaxcnn.nn.chain import Chain, Layer
from jaxcnn.nn.norm import batch_norm
from jaxcnn.nn.residual import HE_INIT


@named_module
class InvertedResidual(nnx.Module):
    """Expands, convolves each channel by itself, projects; adds the inputs where shapes allow.

    Args:
      in_features: channels of the inputs.
      out_features: channels of the outputs.
      strides: pixels between windows, the same for all spatial axes.
      expansion: how many times wider the middle is; 1 leaves the first step out.
      rank: number of spatial axes.
      kernel_size: taps of the depthwise step along each axis, odd.
      norm: makes the normalisations, as in `ConvBlock`.
      activation: after the first two steps; the projection is linear.
      kernel_init: draws the kernels; by default He's, by the fan-out.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
      rngs: draws the parameters.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> block = nnx.eval_shape(lambda: nn.InvertedResidual(16, 24, strides=2, rngs=nnx.Rngs(0)))
      >>> block.branch.depthwise.conv.kernel.shape
      (3, 3, 1, 96)
      >>> nnx.eval_shape(lambda block: block(jnp.ones((2, 8, 10, 16))), block).shape
      (2, 4, 5, 24)

    References:
      M. Sandler, A. Howard, M. Zhu, A. Zhmoginov and L.-C. Chen, MobileNetV2: inverted residuals
      and linear bottlenecks, 2018.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        strides: int = 1,
        *,
        expansion: int = 6,
        rank: int = 2,
        kernel_size: int = 3,
        norm: Callable[..., Any] | None = batch_norm,
        activation: str | Layer = "relu6",
        kernel_init: Callable[..., Any] = HE_INIT,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.in_features = checks.features("in_features", in_features)
        self.out_features = checks.features("out_features", out_features)
        self.strides = geometry.whole_number("strides", strides, 1)
        self.expansion = geometry.whole_number("expansion", expansion, 1)
        self.rank = geometry.whole_number("rank", rank, 1)
        taps = geometry.whole_number("kernel_size", kernel_size, 1)
        if taps % 2 == 0:
            raise ValueError(f"`kernel_size` (={taps}) must be odd")
        wide, ones = self.in_features * self.expansion, (1,) * self.rank
        options: dict[str, Any] = dict(
            norm=norm,
            activation=activation,
            kernel_init=kernel_init,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )
        layers = {}
        if self.expansion > 1:
            layers["expand"] = ConvBlock(self.in_features, wide, ones, **options)
        layers["depthwise"] = ConvBlock(
            wide,
            wide,
            (taps,) * self.rank,
            self.strides,
            padding=taps // 2,
            feature_group_count=wide,
            **options,
        )
        layers["project"] = ConvBlock(
            wide, self.out_features, ones, **{**options, "activation": None}
        )
        self.branch = Chain(**layers)

    @property
    def adds_inputs(self) -> bool:
        """Whether the inputs are added to what the branch gives: where shapes allow."""
        return self.strides == 1 and self.in_features == self.out_features

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial in_features"]
    ) -> Inexact[Array, "*batch_and_out out_features"]:
        """Takes `(*batch, *spatial, in_features)` to `(*batch, *out, out_features)`."""
        inputs = checks.inputs(inputs, self.rank, self.in_features)
        outputs = self.branch(inputs)
        return outputs + inputs.astype(outputs.dtype) if self.adds_inputs else outputs
