"""Partial convolution: convolution of images of which only some pixels are known."""

import math
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Num, Shaped

from jaxcnn._checks import arrays, dtypes, kernels
from jaxcnn._planning.plan import Described, like, planned, to_run
from jaxcnn.functional._conv_arguments import convolution
from jaxcnn.functional._convolution import Convolution, add_bias
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering.problem import Precision, Typed


@planned("inputs", "kernel", "mask", "bias")
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
    kernels.with_spatial_axes(kernel)
    rank = kernel.ndim - 2
    batch, sizes, channels = arrays.spatial_batch(
        inputs, rank, because=f"the kernel {kernel.shape} has {rank}"
    )
    groups = kernels.channel_groups(inputs, kernel, feature_group_count)
    _covers(mask, inputs, rank)
    dtype = dtypes.common_dtype(inputs=inputs, kernel=kernel)
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise TypeError(
            "`inputs` and `kernel` must be floating or complex, since sums are scaled; "
            f"got {dtype}; cast them with astype"
        )
    in_float32 = preferred_element_type is None and jnp.finfo(dtype).bits < 32
    where: dict[str, Any] = {
        "strides": strides,
        "padding": padding,
        "padding_mode": padding_mode,
        "input_dilation": input_dilation,
        "kernel_dilation": kernel_dilation,
    }
    sums = convolution(
        inputs,
        kernel,
        feature_group_count=groups,
        flip_kernel=flip_kernel,
        precision=precision,
        preferred_element_type=jnp.float32 if in_float32 else preferred_element_type,
        algorithm=algorithm,
        **where,
    )
    counted = groups if mask.shape[-1] > 1 else 1
    counts = convolution(
        like(inputs, (*batch, *sizes, counted), jnp.dtype(jnp.float32)),
        Described((*kernel.shape[:-2], 1, counted), jnp.dtype(jnp.float32), False),
        feature_group_count=counted,
        precision="highest",
        **where,
    )
    kernels.vector(bias, kernel.shape[-1])
    scaled = dtype if in_float32 else sums.sum_dtype
    return to_run(
        _partial_conv,
        batch=len(batch),
        images=("inputs", "mask") if mask.ndim == inputs.ndim else ("inputs",),
        flat=False,
        choice=sums.choice(inputs, kernel),
        sums=sums,
        counts=counts,
        scaled=scaled,
        sum_dtype=kernels.sum_dtype(like(inputs, dtype=scaled), bias, preferred_element_type),
    )


def _partial_conv(
    inputs: Array,
    kernel: Array,
    mask: Array,
    bias: Array | None = None,
    *,
    sums: Convolution,
    counts: Convolution,
    scaled: Any,
    sum_dtype: Any,
) -> tuple[Array, Array]:
    """Both convolutions, over the pixels and over their numbers."""
    rank, batch = kernel.ndim - 2, inputs.shape[: 1 - kernel.ndim]
    valid = mask.astype(jnp.bool_).reshape((1,) * (inputs.ndim - mask.ndim) + mask.shape)
    pixels = jnp.where(valid, inputs, jnp.zeros((), inputs.dtype))
    totals = sums.run(pixels.reshape((math.prod(batch), *pixels.shape[-rank - 1 :])), kernel)
    totals = totals.reshape((*batch, *totals.shape[1:]))
    found, taps = _count(valid, kernel, counts)
    ratio = taps / jnp.maximum(found, 1).astype(jnp.finfo(totals.dtype).dtype)
    outputs = add_bias((totals * ratio.astype(totals.dtype)).astype(scaled), bias, sum_dtype)
    outputs = jnp.where(found > 0, outputs, jnp.zeros((), outputs.dtype))
    new_mask = (found > 0).astype(mask.dtype)
    return outputs, new_mask.reshape(new_mask.shape[inputs.ndim - mask.ndim :])


def _covers(mask: Typed, inputs: Typed, rank: int) -> None:
    """Refuses a mask whose shape is not that of the pixels."""
    batch, rest = inputs.shape[: inputs.ndim - rank - 1], inputs.shape[-rank - 1 :]
    spatial, channels = rest[:-1], rest[-1]
    allowed = {(*lead, *spatial, c) for lead in (batch, ()) for c in (1, channels)}
    if mask.shape not in allowed:
        raise ValueError(
            "`mask` must be (*batch, *spatial, 1) or (*batch, *spatial, in_features), "
            f"with the batch axes of the inputs or none; received inputs {inputs.shape}, "
            f"mask {mask.shape}"
        )


def _count(valid: Array, kernel: Array, counts: Convolution) -> tuple[Array, int]:
    """How many valid numbers each window holds, and how many it could hold."""
    rank = kernel.ndim - 2
    groups, taps = counts.problem.feature_group_count, math.prod(kernel.shape[:-2])
    channels, numbers = valid.shape[-1], valid.astype(jnp.float32)
    if channels > 1:
        taps *= channels // groups
        numbers = numbers.reshape((*numbers.shape[:-1], groups, channels // groups)).sum(-1)
    batch = numbers.shape[: -rank - 1]
    found = counts.run(
        numbers.reshape((math.prod(batch), *numbers.shape[-rank - 1 :])),
        jnp.ones((*kernel.shape[:-2], 1, numbers.shape[-1]), jnp.float32),
    )
    if channels > 1:
        found = jnp.repeat(found, kernel.shape[-1] // groups, axis=-1)
    found = jnp.round(found)  # whole also where a convolution by FFT was chosen
    return found.reshape((*batch, *found.shape[1:])), taps
