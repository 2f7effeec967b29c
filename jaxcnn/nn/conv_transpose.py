"""Transposed convolution as a module."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn import dtypes
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Num

from jaxcnn import functional, geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering.problem import Precision


@named_module
class ConvTranspose(nnx.ConvTranspose):
    """Transposed convolution: `flax.nnx.ConvTranspose` on the primitives of this library.

    Arguments, parameters, initial values and results are Flax's, so that changing the import is
    all it takes and a checkpoint of one loads into the other. Two things differ: wrong arguments
    are refused when the module is built, and so is an int as `kernel_size`.

    Args:
      in_features: channels of the inputs.
      out_features: channels of the outputs.
      kernel_size: taps per spatial axis; its length is the number of spatial axes.
      strides: output pixels per input pixel, per spatial axis; None stands for 1.
      padding: amounts, an int or an int or (low, high) pair per spatial axis, are Flax's: zeros
        added around the inputs dilated by the strides. Those of the convolution that is transposed,
        PyTorch's and `functional.conv_transpose`'s, are kernel_dilation*(k - 1) less them. Strings
        are those of `functional.conv_transpose`, in capitals. Without strides "SAME_LOWER" is
        Flax's, the same as "SAME": the odd zero comes before the inputs. So are "same",
        "same_lower" and "valid" in small letters, the padding of the correlation.
      kernel_dilation: pixels between neighbouring taps; None stands for 1.
      use_bias: whether to add one number per output feature.
      mask: factors of the kernel, of its shape.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
      precision: of the products, as `jax.lax.Precision`.
      kernel_init: draws `kernel`, `(*kernel_size, in_features, out_features)`, or with
        `transpose_kernel` `(*kernel_size, out_features, in_features)`.
      bias_init: draws `bias`, `(out_features,)`.
      transpose_kernel: whether the kernel is that of the convolution that is transposed.
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
      >>> layer = nn.ConvTranspose(3, 16, (4, 4), strides=2, rngs=nnx.Rngs(0))
      >>> layer.kernel.shape, layer(jnp.ones((8, 5, 6, 3))).shape
      ((4, 4, 3, 16), (8, 10, 12, 16))
      >>> signal = jnp.ones((5, 1))
      >>> for amount in (0, 1, 2):
      ...     layer = nn.ConvTranspose(1, 1, (3,), 2, padding=amount, rngs=nnx.Rngs(0))
      ...     print(layer(signal).shape)
      (7, 1)
      (9, 1)
      (11, 1)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sequence[int],
        strides: IntPerAxis | None = None,
        *,
        padding: Padding = "SAME",
        kernel_dilation: IntPerAxis | None = None,
        use_bias: bool = True,
        mask: ArrayLike | None = None,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: Precision = None,
        kernel_init: Callable[..., Any] = initial.KERNEL_INIT,
        bias_init: Callable[..., Any] = initial.BIAS_INIT,
        transpose_kernel: bool = False,
        promote_dtype: Any = dtypes.promote_dtype,
        preferred_element_type: DTypeLike | None = None,
        rngs: nnx.Rngs,
        kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
    ):
        inside = checks.features("in_features", in_features)
        outside = checks.features("out_features", out_features)
        size = checks.kernel_size(kernel_size)
        rank = len(size)
        spacing = checks.per_axis("kernel_dilation", kernel_dilation, rank)
        steps = checks.per_axis("strides", strides, rank)
        swapped = checks.flag("transpose_kernel", transpose_kernel)
        checks.mask(mask, (*size, *((outside, inside) if swapped else (inside, outside))))
        checks.layer_dtypes(dtype, param_dtype, promote_dtype, preferred_element_type)
        checks.rngs(rngs)
        super().__init__(
            inside,
            outside,
            size,
            steps,
            padding=_padding(padding, size, steps, checks.each_axis(spacing, rank)),  # type: ignore[arg-type]
            kernel_dilation=spacing,
            use_bias=checks.flag("use_bias", use_bias),
            mask=mask,  # type: ignore[arg-type]
            dtype=dtype,
            param_dtype=param_dtype,
            precision=checks.precision(precision),  # type: ignore[arg-type]
            kernel_init=checks.function("kernel_init", kernel_init),
            bias_init=checks.function("bias_init", bias_init),
            transpose_kernel=swapped,
            promote_dtype=checks.function("promote_dtype", promote_dtype),
            preferred_element_type=preferred_element_type,
            rngs=rngs,
            kernel_metadata=kernel_metadata,
            bias_metadata=bias_metadata,
        )

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial in_features"]
    ) -> Num[Array, "*batch_and_out out_features"]:
        """Takes `(*batch, *spatial, in_features)` to `(*batch, *out, out_features)`."""
        rank = len(self.kernel_size)
        inputs = checks.inputs(inputs, rank, self.in_features)
        kernel = self.kernel[...] if self.mask is None else self.kernel[...] * self.mask
        bias = None if self.bias is None else self.bias[...]
        inputs, kernel, bias = self.promote_dtype((inputs, kernel, bias), dtype=self.dtype)
        return functional.conv_transpose(
            inputs,
            kernel,
            bias,
            strides=checks.each_axis(self.strides, rank),
            padding=self._transposed_padding(),
            kernel_dilation=checks.each_axis(self.kernel_dilation, rank),
            transpose_kernel=self.transpose_kernel,
            precision=self.precision,
            preferred_element_type=self.preferred_element_type,
        )

    def _transposed_padding(self) -> Padding:
        """Flax's amounts a as those of the convolution that is transposed, e - 1 - a."""
        padding: Any = self.padding
        if isinstance(padding, str):
            return padding
        rank = len(self.kernel_size)
        entries = (padding,) * rank if isinstance(padding, int) else padding
        pairs = [(entry, entry) if isinstance(entry, int) else entry for entry in entries]
        spans = map(
            geometry.effective_size,
            self.kernel_size,
            checks.each_axis(self.kernel_dilation, rank),
        )
        return tuple(
            (span - 1 - low, span - 1 - high)
            for span, (low, high) in zip(spans, pairs, strict=True)
        )


def _padding(
    padding: Padding,
    size: tuple[int, ...],
    strides: int | tuple[int, ...] | None,
    spacing: tuple[int, ...],
) -> Padding:
    """Checks `padding`; strings by which Flax means another padding are returned as amounts.

    Flax hands all strings but "SAME", "VALID" and "CIRCULAR" to `lax.conv_general_dilated`, which
    takes them without strides alone, in small letters too, for the padding of the correlation:
    "valid" gives n - e + 1 outputs, "VALID" n + e - 1.

    Raises:
      ValueError: a string in small letters that Flax refuses, or no padding at all.
    """
    _name, rank = "ConvTranspose", len(size)
    checked = checks.padding(padding, size, spacing)
    small = isinstance(padding, str) and padding != checked
    by_lax = checked == "SAME_LOWER" or (small and checked in ("SAME", "VALID"))
    if by_lax and set(checks.each_axis(strides, rank)) == {1}:
        # the amounts of stride 1 do not depend on the sizes
        return geometry.resolve_padding(checked, (1,) * rank, size, (1,) * rank, spacing)
    if small:
        raise ValueError(
            f"`padding` (={padding!r}) must be in capitals, since Flax takes small letters "
            f"for the padding of another convolution, and without strides alone; write {checked!r}"
        )
    return checked
