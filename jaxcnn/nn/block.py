"""Convolution, normalisation and activation as one module, in a chosen order."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.nn.chain import Activation, Layer
from jaxcnn.nn.conv import Conv
from jaxcnn.nn.norm import batch_norm

STEPS = ("conv", "norm", "activation")


@named_module
class ConvBlock(nnx.Module):
    """Convolution, normalisation, activation, one after another in `order`.

    Args:
      in_features: channels of the inputs.
      out_features: channels of the outputs.
      kernel_size: taps per spatial axis.
      strides: pixels between windows, per spatial axis.
      order: the steps, each at most once, "conv" among them; ("norm", "activation", "conv") is
        pre-activation.
      norm: makes the normalisation, called with its number of channels, `dtype`, `param_dtype` and
        `rngs`; None leaves it out.
      activation: name of a function in `flax.nnx`, or a function; None leaves it out.
      padding: as in `functional.conv`.
      kernel_dilation: pixels between neighbouring taps.
      feature_group_count: groups of channels that see one another alone.
      use_bias: whether the convolution has a bias; None means where no normalisation follows it.
      kernel_init: draws the kernel.
      conv: makes the convolution, `Conv` or one with its arguments.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
      rngs: draws the parameters.
    Attributes:
      conv, norm, activation: the steps; one that is left out is None.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> block = nn.ConvBlock(3, 16, (3, 3), strides=2, rngs=nnx.Rngs(0))
      >>> block(jnp.ones((8, 32, 32, 3))).shape, block.conv.bias
      ((8, 16, 16, 16), None)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sequence[int],
        strides: IntPerAxis = 1,
        *,
        order: Sequence[str] = STEPS,
        norm: Callable[..., Any] | None = batch_norm,
        activation: str | Layer | None = "relu",
        padding: Padding = "SAME",
        kernel_dilation: IntPerAxis = 1,
        feature_group_count: int = 1,
        use_bias: bool | None = None,
        kernel_init: Callable[..., Any] = initial.KERNEL_INIT,
        conv: Callable[..., Any] = Conv,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        order = _order(order)
        absent = {"norm": norm is None, "activation": activation is None}
        self.order = tuple(step for step in order if not absent.get(step, False))
        after = self.order[self.order.index("conv") + 1 :]
        if norm is not None:
            checks.function("norm", norm)
        checks.dtypes(dtype, param_dtype)
        common: dict[str, Any] = dict(dtype=dtype, param_dtype=param_dtype, rngs=rngs)
        self.conv = checks.function("conv", conv)(
            in_features,
            out_features,
            kernel_size,
            strides,
            padding=padding,
            kernel_dilation=kernel_dilation,
            feature_group_count=feature_group_count,
            use_bias="norm" not in after if use_bias is None else use_bias,
            kernel_init=kernel_init,
            **common,
        )
        features = out_features if "norm" in after else in_features
        self.norm = norm(features, **common) if norm and "norm" in self.order else None
        self.activation = (
            Activation(activation) if activation and "activation" in self.order else None
        )

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial in_features"]
    ) -> Inexact[Array, "*batch_and_out out_features"]:
        """Takes `(*batch, *spatial, in_features)` to `(*batch, *out, out_features)`."""
        for step in self.order:
            inputs = getattr(self, step)(inputs)
        return inputs


def _order(order: Any) -> tuple[str, ...]:
    """The order with its steps checked."""
    if isinstance(order, str) or not isinstance(order, Sequence):
        raise TypeError(f"`order` (={order!r}) must be a tuple of names among {STEPS}")
    order = tuple(order)
    if set(order) - set(STEPS) or len(set(order)) < len(order) or "conv" not in order:
        raise ValueError(f"`order` (={order}) must hold 'conv', and each of {STEPS} at most once")
    return order
