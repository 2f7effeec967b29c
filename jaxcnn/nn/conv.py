"""Convolution as a module."""

import copy
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn import dtypes
from jax import lax
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Num

from jaxcnn import functional
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering.problem import Precision


@named_module
class Conv(nnx.Conv):
    """Convolution with a learnt kernel: `flax.nnx.Conv` on the primitives of this library.

    Arguments, parameters, initial values and results are Flax's, so that changing the import is
    all it takes and a checkpoint of one loads into the other. Two things differ: wrong arguments
    are refused when the module is built, and so is an int as `kernel_size`, which Flax takes for
    a 1-D convolution even where images were meant.

    Args:
      in_features: channels of the inputs.
      out_features: channels of the outputs.
      kernel_size: taps per spatial axis; its length is the number of spatial axes.
      strides: pixels between windows, per spatial axis; None stands for 1.
      padding: as in `functional.conv`; strings may stand beside `input_dilation`, which Flax
        refuses.
      input_dilation: pixels between neighbouring input pixels; None stands for 1.
      kernel_dilation: pixels between neighbouring taps; None stands for 1.
      feature_group_count: groups of channels that see one another alone.
      use_bias: whether to add one number per output feature.
      mask: factors of the kernel, of its shape.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
      precision: of the products, as `jax.lax.Precision`.
      kernel_init: draws `kernel`, `(*kernel_size, in_features / feature_group_count,
        out_features)`.
      bias_init: draws `bias`, `(out_features,)`.
      conv_general_dilated: another function to convolve with; called as Flax calls it.
      promote_dtype: casts (inputs, kernel, bias) to one dtype.
      preferred_element_type: dtype to accumulate in and return.
      rngs: random streams; "params" is drawn from, the kernel first.
      kernel_metadata: metadata of the kernel's `nnx.Param`.
      bias_metadata: metadata of the bias's `nnx.Param`.
    Raises:
      ValueError: counts, sizes or shapes disagree.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> layer = nn.Conv(3, 16, (3, 5), strides=2, rngs=nnx.Rngs(0))
      >>> layer.kernel.shape, layer.bias.shape
      ((3, 5, 3, 16), (16,))
      >>> layer(jnp.ones((8, 32, 28, 3))).shape
      (8, 16, 14, 16)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sequence[int],
        strides: IntPerAxis | None = 1,
        *,
        padding: Padding = "SAME",
        input_dilation: IntPerAxis | None = 1,
        kernel_dilation: IntPerAxis | None = 1,
        feature_group_count: int = 1,
        use_bias: bool = True,
        mask: ArrayLike | None = None,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: Precision = None,
        kernel_init: Callable[..., Any] = initial.KERNEL_INIT,
        bias_init: Callable[..., Any] = initial.BIAS_INIT,
        conv_general_dilated: Callable[..., Any] = lax.conv_general_dilated,
        promote_dtype: Any = dtypes.promote_dtype,
        preferred_element_type: DTypeLike | None = None,
        rngs: nnx.Rngs,
        kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
    ):
        inside = checks.features("in_features", in_features)
        outside = checks.features("out_features", out_features)
        groups = checks.groups(feature_group_count, in_features=inside, out_features=outside)
        size = checks.kernel_size(kernel_size)
        rank = len(size)
        spacing = checks.per_axis("kernel_dilation", kernel_dilation, rank)
        checks.mask(mask, (*size, inside // groups, outside))
        checks.layer_dtypes(dtype, param_dtype, promote_dtype, preferred_element_type)
        checks.rngs(rngs)
        super().__init__(
            inside,
            outside,
            size,
            checks.per_axis("strides", strides, rank),
            padding=checks.padding(padding, size, checks.each_axis(spacing, rank)),  # type: ignore[arg-type]
            input_dilation=checks.per_axis("input_dilation", input_dilation, rank),
            kernel_dilation=spacing,
            feature_group_count=groups,
            use_bias=checks.flag("use_bias", use_bias),
            mask=mask,  # type: ignore[arg-type]
            dtype=dtype,
            param_dtype=param_dtype,
            precision=checks.precision(precision),  # type: ignore[arg-type]
            kernel_init=checks.function("kernel_init", kernel_init),
            bias_init=checks.function("bias_init", bias_init),
            conv_general_dilated=checks.function("conv_general_dilated", conv_general_dilated),
            promote_dtype=checks.function("promote_dtype", promote_dtype),
            preferred_element_type=preferred_element_type,
            rngs=rngs,
            kernel_metadata=kernel_metadata,
            bias_metadata=bias_metadata,
        )

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial in_features"], out_sharding: Any = None
    ) -> Num[Array, "*batch_and_out out_features"]:
        """Convolves `(*batch, *spatial, in_features)` to `(*batch, *out, out_features)`.

        Args:
          inputs: any number of batch axes, none included.
          out_sharding: sharding of the outputs, where meshes have explicit axes.
        """
        rank = len(self.kernel_size)
        inputs = checks.inputs(inputs, rank, self.in_features)
        if out_sharding is not None or self.conv_general_dilated is not lax.conv_general_dilated:
            if self.padding == "FULL":
                raise ValueError(
                    "`padding` (='FULL') is unknown to `lax.conv_general_dilated`, which "
                    "`out_sharding` and `conv_general_dilated` lead to; give amounts"
                )
            layer = self
            if self.conv_general_dilated is lax.conv_general_dilated:
                layer = copy.copy(self)  # with the same parameters
                vars(layer)["conv_general_dilated"] = functional.conv_general_dilated
            return super(Conv, layer).__call__(inputs, out_sharding)
        kernel = self.effective_kernel()
        bias = None if self.bias is None else self.bias[...]
        inputs, kernel, bias = self.promote_dtype((inputs, kernel, bias), dtype=self.dtype)
        return functional.conv(
            inputs,
            kernel,
            bias,
            strides=checks.each_axis(self.strides, rank),
            padding=self.padding,  # type: ignore[arg-type]
            input_dilation=checks.each_axis(self.input_dilation, rank),
            kernel_dilation=checks.each_axis(self.kernel_dilation, rank),
            feature_group_count=self.feature_group_count,
            precision=self.precision,
            preferred_element_type=self.preferred_element_type,
        )

    def effective_kernel(self) -> Num[Array, "*kernel_size group_features out_features"]:
        """The kernel that the inputs meet: the parameter, masked."""
        return self.kernel[...] if self.mask is None else self.kernel[...] * self.mask
