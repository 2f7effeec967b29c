"""Partial convolution: convolution of images of which only some pixels are known."""

import math

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Num, Shaped

from jaxcnn.functional import _arguments, _kernels
from jaxcnn.functional._convolve import convolve
from jaxcnn.functional._program import program
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering.problem import Precision

_NAME = "partial_conv"


@program(
    "inputs", "kernel", "mask", "bias", image=lambda kernel, **_: kernel.ndim - 1, beside=("mask",)
)
def partial_conv(
    inputs: Num[Array, "*batch_and_spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    mask: Shaped[Array, "*some_batch_and_spatial one_or_in_features"],
    bias: Num[Array, " out_features"] | None = None,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    padding_mode: str = "zeros",
    input_dilation: IntPerAxis = 1,
    kernel_dilation: IntPerAxis = 1,
    feature_group_count: int = 1,
    flip_kernel: bool = False,
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: str = "auto",
) -> tuple[Num[Array, "*batch_and_out out_features"], Shaped[Array, "*some_batch_and_out masks"]]:
    """Cross-correlates the valid pixels alone, scaled up for the missing ones.

        out[i, o] = bias[o] + r[i] * sum over a, c of m[i*s + a*d, c] * x[i*s + a*d, c]
                                                      * kernel[a, c, o]
        r[i]      = taps / (number of valid taps of window i)
        new_mask[i] = 1

    where window i meets a valid pixel, and out[i, o] = 0, new_mask[i] = 0 where it meets none. So a
    constant image gives the same outputs however many of its pixels are missing, and each layer
    fills the holes by the width of its windows. With a mask of one channel r counts pixels, prod(k)
    in all; with one per input channel it counts pixels and channels, prod(k)*in/groups in all.

    Missing pixels are left out by selection, not by multiplication with 0: whatever stands in them,
    NaN included, reaches neither outputs nor gradients, and their own gradient is 0. Zero padding
    is missing too, so that windows at the border are scaled up as well; other fills copy the mask
    with the pixels. The mask is piecewise constant in the outputs: its gradient is 0.

    Args:
      inputs: `(*batch, *spatial, in_features)`, any number of batch axes, none included;
        floating or complex.
      kernel: `(*kernel_size, in_features / feature_group_count, out_features)`; sets the number of
        spatial axes.
      mask: `(*batch, *spatial, 1)` or `(*batch, *spatial, in_features)`, or without the batch axes
        where all images share it. Any dtype; a pixel is valid where it is not 0.
      bias: `(out_features,)`, added where a window meets a valid pixel; it is not scaled.
      strides: pixels between windows, per spatial axis.
      padding: any form that `conv` takes.
      padding_mode: "zeros", "reflect" (without repeating the edge), "replicate" or "circular".
      input_dilation: pixels between neighbouring input pixels, missing in between, per spatial
        axis.
      kernel_dilation: pixels between neighbouring taps, per spatial axis.
      feature_group_count: groups of channels that see one another alone.
      flip_kernel: reverses the kernel along its spatial axes.
      precision: of the products, as `jax.lax.Precision`.
      preferred_element_type: dtype to accumulate in and return.
      algorithm: "auto", or one that `conv` names.
    Returns:
      The outputs `(*batch, *out, out_features)`, out as for `conv`, and the new mask in the dtype
      of `mask`, with 1 channel where that has 1 and out_features where it has in_features.
    Raises:
      ValueError: shapes or options disagree, or the output would be empty.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> signal = jnp.array([[2.0], [jnp.nan], [2.0], [jnp.nan], [jnp.nan], [jnp.nan]])
      >>> outputs, mask = F.partial_conv(signal, jnp.ones((3, 1, 1)), ~jnp.isnan(signal))
      >>> outputs.ravel()
      Array([6., 6., 6., 6., 0., 0.], dtype=float32)
      >>> mask.ravel()
      Array([ True,  True,  True,  True, False, False], dtype=bool)

    References:
      G. Liu, F. Reda, K. Shih, T.-C. Wang, A. Tao and B. Catanzaro, Image inpainting for irregular
      holes using partial convolutions, 2018.
    """
    inputs = _arguments.array(_NAME, "inputs", inputs)
    kernel = _arguments.array(_NAME, "kernel", kernel)
    if kernel.ndim < 3:
        raise ValueError(
            f"{_NAME}: `kernel` must be (*kernel_size, in_features / feature_group_count, "
            f"out_features) with at least one spatial axis; received kernel {kernel.shape}"
        )
    rank = kernel.ndim - 2
    _arguments.spatial_batch(_NAME, inputs, rank, because=f"the kernel {kernel.shape} has {rank}")
    groups = _kernels.channel_groups(_NAME, inputs, kernel, feature_group_count)
    mask = _arguments.array(_NAME, "mask", mask)
    valid = _valid(inputs, mask, rank)
    inputs, kernel = _arguments.same_dtype(_NAME, inputs=inputs, kernel=kernel)
    dtype = inputs.dtype
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise TypeError(
            f"{_NAME}: `inputs` and `kernel` must be floating or complex, since sums are scaled; "
            f"got {dtype}; cast them with astype"
        )
    in_float32 = preferred_element_type is None and jnp.finfo(dtype).bits < 32
    where = {
        "strides": strides,
        "padding": padding,
        "padding_mode": padding_mode,
        "input_dilation": input_dilation,
        "kernel_dilation": kernel_dilation,
    }
    sums = convolve(
        _NAME,
        jnp.where(valid, inputs, jnp.zeros((), inputs.dtype)),
        kernel,
        None,
        feature_group_count=groups,
        flip_kernel=flip_kernel,
        precision=precision,
        preferred_element_type=jnp.float32 if in_float32 else preferred_element_type,
        algorithm=algorithm,
        **where,
    )
    counts, taps = _count(valid, kernel, groups, where)
    ratio = taps / jnp.maximum(counts, 1).astype(jnp.finfo(sums.dtype).dtype)
    outputs = (sums * ratio.astype(sums.dtype)).astype(dtype if in_float32 else sums.dtype)
    outputs = _kernels.add_bias(_NAME, outputs, bias, preferred_element_type)
    outputs = jnp.where(counts > 0, outputs, jnp.zeros((), outputs.dtype))
    new_mask = (counts > 0).astype(mask.dtype)
    return outputs, new_mask.reshape(new_mask.shape[inputs.ndim - mask.ndim :])


def _valid(inputs: Array, mask: Array, rank: int) -> Bool[Array, "*batch_and_spatial channels"]:
    """Where `mask` is not 0, with the axes of `inputs`.

    Raises:
      ValueError: `mask` has other axes than `inputs`.
    """
    batch, rest = inputs.shape[: inputs.ndim - rank - 1], inputs.shape[-rank - 1 :]
    spatial, channels = rest[:-1], rest[-1]
    allowed = {(*lead, *spatial, c) for lead in (batch, ()) for c in (1, channels)}
    if mask.shape not in allowed:
        raise ValueError(
            f"{_NAME}: `mask` must be (*batch, *spatial, 1) or (*batch, *spatial, in_features), "
            f"with the batch axes of the inputs or none; received inputs {inputs.shape}, "
            f"mask {mask.shape}"
        )
    return mask.astype(jnp.bool_).reshape((1,) * (inputs.ndim - mask.ndim) + mask.shape)


def _count(
    valid: Bool[Array, "*batch_and_spatial channels"], kernel: Array, groups: int, where: dict
) -> tuple[Float[Array, "*batch_and_out masks"], int]:
    """The number of valid taps of each window, and the number of all taps.

    The channels of a group are added up first, so that what is left is depthwise: a window of ones
    over one channel, or over one of each group.
    """
    taps, numbers = math.prod(kernel.shape[:-2]), valid.astype(jnp.float32)
    channels = valid.shape[-1]
    if channels > 1:
        per_group = channels // groups
        taps *= per_group
        numbers = numbers.reshape((*numbers.shape[:-1], groups, per_group)).sum(-1)
    counts = convolve(
        _NAME,
        numbers,
        jnp.ones((*kernel.shape[:-2], 1, numbers.shape[-1]), jnp.float32),
        None,
        feature_group_count=numbers.shape[-1],
        flip_kernel=False,
        precision="highest",
        preferred_element_type=None,
        algorithm="auto",
        **where,
    )
    if channels > 1:
        counts = jnp.repeat(counts, kernel.shape[-1] // groups, axis=-1)
    return jnp.round(counts), taps  # whole also where a convolution by FFT was chosen
