"""Residual blocks: what a few convolutions give is added to what they were given."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.nn.block import ConvBlock
from jaxcnn.nn.chain import Activation, Chain, Layer
from jaxcnn.nn.norm import batch_norm

HE_INIT = initial.variance_scaling(2.0, "fan_out", "normal")


@named_module
class ResidualBlock(nnx.Module):
    """What residual blocks have in common: outputs = activation(branch(x) + shortcut(x)).

    The shortcut is the identity where shapes allow, else a convolution of one tap with the strides,
    normalised, or with `shortcut` "pad" (He et al.'s option A, without parameters) every stride-th
    pixel with channels of zeros on both sides.

    Args:
      in_features: channels of the inputs.
      features: channels of the inner convolutions; the outputs have `expansion` times as many.
      strides: pixels between windows, the same for all spatial axes.
      rank: number of spatial axes.
      kernel_dilation: pixels between neighbouring taps of the wide convolutions.
      feature_group_count: groups of the wide convolution, in `BottleneckBlock`.
      shortcut: "conv" or "pad".
      norm: makes the normalisations, as in `ConvBlock`.
      activation: name of a function in `flax.nnx`, or a function.
      kernel_init: draws the kernels; by default He's, by the fan-out.
      zero_init: whether the branch starts at zero, its last normalisation scaling by 0.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
      rngs: draws the parameters.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    References:
      K. He, X. Zhang, S. Ren and J. Sun, Deep residual learning for image recognition, 2015.
    """

    expansion = 1
    ends_in_activation = True

    def __init__(
        self,
        in_features: int,
        features: int,
        strides: int = 1,
        *,
        rank: int = 2,
        kernel_dilation: int = 1,
        feature_group_count: int = 1,
        shortcut: str = "conv",
        norm: Callable[..., Any] | None = batch_norm,
        activation: str | Layer = "relu",
        kernel_init: Callable[..., Any] = HE_INIT,
        zero_init: bool = False,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.in_features = checks.features("in_features", in_features)
        self.features = checks.features("features", features)
        self.out_features = self.features * self.expansion
        self.strides = geometry.whole_number("strides", strides, 1)
        self.rank = geometry.whole_number("rank", rank, 1)
        self.kernel_dilation = geometry.whole_number("kernel_dilation", kernel_dilation, 1)
        self.feature_group_count = checks.groups(feature_group_count, features=self.features)
        checks.choice("shortcut", shortcut, ("conv", "pad"))
        options: dict[str, Any] = dict(
            norm=norm,
            activation=activation,
            kernel_init=kernel_init,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )
        self.activation = Activation(activation)
        self.branch = self._make_branch(options)
        self.shortcut = self._make_shortcut(shortcut, options)
        if checks.flag("zero_init", zero_init):
            scale = getattr(self._last_norm(), "scale", None)
            if scale is None:
                raise ValueError("`zero_init` needs a `norm` with a scale")
            scale[...] = jnp.zeros_like(scale[...])

    def _make_branch(self, options: dict[str, Any]) -> Chain:
        """The convolutions, made with the block's options."""
        raise NotImplementedError

    def _last_norm(self) -> Any:
        """The normalisation that scales what the branch gives."""
        return self.branch.layers[-1].norm  # type: ignore[attr-defined]

    def _make_shortcut(self, kind: str, options: dict[str, Any]) -> nnx.Module | None:
        """What the inputs go through before they are added."""
        if self.strides == 1 and self.in_features == self.out_features:
            return None
        if kind == "pad":
            return PaddedShortcut(self.in_features, self.out_features, self.strides, self.rank)
        options = {**options, "activation": None}
        return self._conv(options, self.in_features, self.out_features, 1, self.strides)

    def _conv(
        self, options: dict[str, Any], inside: int, outside: int, size: int, strides: int = 1
    ) -> ConvBlock:
        """One convolution of the block; PyTorch's padding, the same on both sides."""
        spacing = self.kernel_dilation if size > 1 else 1
        return ConvBlock(
            inside,
            outside,
            (size,) * self.rank,
            strides,
            padding=spacing * (size // 2),
            kernel_dilation=spacing,
            **options,
        )

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial in_features"]
    ) -> Inexact[Array, "*batch_and_out out_features"]:
        """Takes `(*batch, *spatial, in_features)` to `(*batch, *out, out_features)`."""
        inputs = checks.inputs(inputs, self.rank, self.in_features)
        straight = inputs if self.shortcut is None else self.shortcut(inputs)  # type: ignore[operator]
        outputs = self.branch(inputs)
        outputs = outputs + straight.astype(outputs.dtype)
        return self.activation(outputs) if self.ends_in_activation else outputs


class BasicBlock(ResidualBlock):
    """Two convolutions of three taps: ResNet-18's and 34's block. Arguments: `ResidualBlock`.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> block = nn.BasicBlock(16, 32, strides=2, rngs=nnx.Rngs(0))
      >>> block(jnp.ones((2, 8, 10, 16))).shape
      (2, 4, 5, 32)
    """

    def _make_branch(self, options: dict[str, Any]) -> Chain:
        last = {**options, "activation": None}
        return Chain(
            conv1=self._conv(options, self.in_features, self.features, 3, self.strides),
            conv2=self._conv(last, self.features, self.features, 3),
        )


class BottleneckBlock(ResidualBlock):
    """One tap, three, one, the strides at the three (version 1.5). Arguments: `ResidualBlock`.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> block = nnx.eval_shape(lambda: nn.BottleneckBlock(64, 16, strides=2, rngs=nnx.Rngs(0)))
      >>> nnx.eval_shape(lambda block: block(jnp.ones((2, 8, 10, 64))), block).shape
      (2, 4, 5, 64)
    """

    expansion = 4

    def _make_branch(self, options: dict[str, Any]) -> Chain:
        grouped = {**options, "feature_group_count": self.feature_group_count}
        last = {**options, "activation": None}
        return Chain(
            conv1=self._conv(options, self.in_features, self.features, 1),
            conv2=self._conv(grouped, self.features, self.features, 3, self.strides),
            conv3=self._conv(last, self.features, self.out_features, 1),
        )


class PreActivationBlock(ResidualBlock):
    """Normalisation and activation before each of two convolutions, and none after the sum.

    Arguments: `ResidualBlock`. The shortcut is a convolution alone.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> block = nn.PreActivationBlock(16, 32, strides=2, rngs=nnx.Rngs(0))
      >>> block(jnp.ones((2, 8, 10, 16))).shape
      (2, 4, 5, 32)

    References:
      K. He, X. Zhang, S. Ren and J. Sun, Identity mappings in deep residual networks, 2016.
    """

    ends_in_activation = False

    def _make_branch(self, options: dict[str, Any]) -> Chain:
        options = {**options, "order": ("norm", "activation", "conv"), "use_bias": False}
        return Chain(
            conv1=self._conv(options, self.in_features, self.features, 3, self.strides),
            conv2=self._conv(options, self.features, self.features, 3),
        )

    def _make_shortcut(self, kind: str, options: dict[str, Any]) -> nnx.Module | None:
        return super()._make_shortcut(kind, {**options, "norm": None, "use_bias": False})


@named_module
class PaddedShortcut(nnx.Module):
    """Every stride-th pixel, with channels of zeros on both sides: a shortcut without parameters.

    Args:
      in_features: channels of the inputs.
      out_features: channels of the outputs, at least as many.
      strides: pixels from one that is kept to the next.
      rank: number of spatial axes.
    Raises:
      ValueError: fewer outputs than inputs.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> nn.PaddedShortcut(16, 32, 2)(jnp.ones((2, 8, 9, 16))).shape
      (2, 4, 5, 32)
    """

    def __init__(self, in_features: int, out_features: int, strides: int, rank: int = 2):
        if out_features < in_features:
            raise ValueError(
                f"`out_features` (={out_features}) must be at least `in_features` "
                f"(={in_features}); use shortcut='conv'"
            )
        self.more = out_features - in_features
        self.strides, self.rank = strides, rank

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial in_features"]
    ) -> Num[Array, "*batch_and_out out_features"]:
        """Takes `(*batch, *spatial, in_features)` to `(*batch, *out, out_features)`."""
        kept, s = inputs, self.strides
        for axis in range(inputs.ndim - 1 - self.rank, inputs.ndim - 1):
            # Not [::s], which says the size of what is not known yet in other words than strides.
            last = (geometry.output_size(inputs.shape[axis], 1, stride=s) - 1) * s
            kept = lax.slice_in_dim(kept, 0, last + 1, s, axis)
        low = self.more // 2
        return jnp.pad(kept, [(0, 0)] * (kept.ndim - 1) + [(low, self.more - low)])
