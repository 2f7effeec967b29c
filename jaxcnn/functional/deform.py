"""Deformable convolution, versions 1 and 2: every tap is moved by an offset of its own."""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact

from jaxcnn import geometry
from jaxcnn._checks import arrays, dtypes, kernels, options
from jaxcnn._planning.plan import like, planned, to_run
from jaxcnn.functional._convolution import add_bias
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering import deform
from jaxcnn.lowering.problem import ConvProblem, Precision, Typed


@planned("inputs", "kernel", "offsets", "bias", "mask")
def deform_conv(
    inputs: Inexact[Array, "*batch_and_spatial in_features"],
    kernel: Inexact[Array, "*kernel_size group_features out_features"],
    offsets: Float[Array, "*batch_and_out moves"],
    *,
    bias: Inexact[Array, " out_features"] | None = None,
    mask: Float[Array, "*batch_and_out weights"] | None = None,
    strides: IntPerAxis = 1,
    padding: Padding = "VALID",
    kernel_dilation: IntPerAxis = 1,
    feature_group_count: int = 1,
    offset_group_count: int = 1,
    precision: Precision = None,
) -> Inexact[Array, "*batch_and_out out_features"]:
    """Cross-correlates `inputs` with `kernel` at positions that the offsets move.

        out[n, i, o] = bias[o] + sum over a, c of
                       mask[n, i, q, a] * S(x[n, :, c], i*s - p_lo + a*d + offsets[n, i, q, a])
                       * kernel[a, c, o]

    where S(x, p) interpolates x linearly along each axis at the real position p, pixels outside
    the input counting as 0 (so S is 0 from p = -1 down and from p = n up), and q is the offset
    group of channel c. Without offsets it is `conv` with zero padding; the mask makes it version 2.
    The definition is that of `torchvision.ops.deform_conv2d`, for any number of spatial axes.

    S has a kink at every whole position. Its derivative there is the one from the right,
    x[p + 1] - x[p], as in PyTorch; so it is for offsets of zero, with which training starts. The
    gradient for the inputs is a scatter-add, in which positions may coincide: on a GPU its last
    digits may differ from run to run (`XLA_FLAGS=--xla_gpu_deterministic_ops=true` settles them).
    A NaN spreads to all samples in the cells around its pixel.

    Args:
      inputs: `(*batch, *spatial, in_features)`, any number of batch axes, none included.
      kernel: `(*kernel_size, in_features / feature_group_count, out_features)`; sets the number d
        of spatial axes.
      offsets: `(*batch, *out, offset_group_count * prod(kernel_size) * d)` pixels, in torchvision's
        order: group by group, in a group tap by tap in row-major order, for each tap its move along
        each axis, the first axis (y) first.
      bias: `(out_features,)`, added to every output pixel.
      mask: `(*batch, *out, offset_group_count * prod(kernel_size))` factors of the samples, group
        by group, in a group tap by tap.
      strides: pixels between windows, per spatial axis.
      padding: "VALID" as in torchvision, unlike the other convolutions here; "SAME", "SAME_LOWER",
        "FULL", "CAUSAL", an int, or an int or (low, high) pair per spatial axis. It shifts and adds
        windows; what lies outside the inputs is 0 however far a tap moves.
      kernel_dilation: pixels between neighbouring taps, per spatial axis.
      feature_group_count: groups of channels that see one another alone.
      offset_group_count: groups of input channels, in order, that share offsets and mask.
      precision: of the products, as `jax.lax.Precision`.
    Returns:
      `(*batch, *out, out_features)` in the common dtype of inputs and kernel, out as for `conv`.
    Raises:
      ValueError: shapes or options disagree, the output would be empty, or the inputs have more
        pixels than int32 counts.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> images, kernel = jnp.ones((8, 7, 7, 3)), jnp.ones((3, 3, 3, 16))
      >>> F.deform_conv(images, kernel, jnp.zeros((8, 5, 5, 3 * 3 * 2))).shape
      (8, 5, 5, 16)
      >>> signal, one_tap = jnp.array([[1.0], [2.0], [4.0]]), jnp.ones((1, 1, 1))
      >>> F.deform_conv(signal, one_tap, jnp.array([[0.5], [1.0], [0.25]])).ravel()
      Array([1.5, 4. , 3. ], dtype=float32)

    References:
      J. Dai, H. Qi, Y. Xiong, Y. Li, G. Zhang, H. Hu and Y. Wei, Deformable convolutional networks,
      2017.
      X. Zhu, H. Hu, S. Lin and J. Dai, Deformable ConvNets v2: more deformable, better results,
      2019.
    """
    kernels.with_spatial_axes(kernel)
    rank = kernel.ndim - 2
    batch, sizes, in_features = arrays.spatial_batch(
        inputs, rank, because=f"the kernel {kernel.shape} has {rank}"
    )
    groups = kernels.channel_groups(inputs, kernel, feature_group_count)
    kernel_size = kernels.kernel_sizes(kernel)
    offset_groups = geometry.whole_number("offset_group_count", offset_group_count, 1)
    if in_features % offset_groups:
        raise ValueError(
            f"`offset_group_count` (={offset_groups}) must divide `in_features` "
            f"(={in_features}); received inputs {inputs.shape}"
        )
    windows = geometry.windows(
        sizes,
        kernel_size,
        strides=strides,
        padding=padding,
        dilation=kernel_dilation,
        crop=True,
        window_argument="kernel",
        dilation_argument="kernel_dilation",
    )
    dtype = dtypes.common_dtype(inputs=inputs, kernel=kernel)
    _floating("inputs", dtype)
    lead, taps = (*batch, *windows.output_shape), math.prod(kernel_size)
    _one_per_window("offsets", offsets, lead, (offset_groups, taps, rank), inputs)
    if mask is not None:
        _one_per_window("mask", mask, lead, (offset_groups, taps), inputs)
    arrays.countable_pixels(sizes)
    kernels.vector(bias, kernel.shape[-1])
    return to_run(
        _deform_conv,
        batch=len(batch),
        by_rows=False,
        images=("inputs", "offsets") if mask is None else ("inputs", "offsets", "mask"),
        problem=ConvProblem(windows, groups, options.product_precision(precision)),
        offset_groups=offset_groups,
        dtype=dtype,
        sum_dtype=kernels.sum_dtype(like(inputs, dtype=dtype), bias, None),
    )


def _deform_conv(
    inputs: Array,
    kernel: Array,
    offsets: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    *,
    problem: ConvProblem,
    offset_groups: int,
    dtype: Any,
    sum_dtype: Any,
) -> Array:
    """The samples and their products, on one batch axis."""
    windows, exact = problem.windows, _at_least_float32(dtype)
    each = (inputs.shape[0], *windows.output_shape, offset_groups, math.prod(windows.window_shape))
    offsets = offsets.reshape((*each, windows.rank)).astype(_at_least_float32(offsets.dtype))
    if mask is not None:
        mask = mask.reshape(each).astype(exact)
    wide = inputs.astype(exact), kernel.astype(exact)
    outputs = deform.deform_conv(*wide, offsets, mask, problem, dtype)
    return add_bias(outputs.astype(dtype), bias, sum_dtype)


def _one_per_window(
    argument: str, values: Typed, lead: tuple[int, ...], entries: tuple[int, ...], inputs: Typed
) -> None:
    """Refuses offsets or weights that are no floats, or not as many as there are samples."""
    _floating(argument, values.dtype, jnp.floating)
    if values.shape != (*lead, math.prod(entries)):
        names = "offset groups, taps, axes" if len(entries) == 3 else "offset groups, taps"
        raise ValueError(
            f"`{argument}` must be {(*lead, math.prod(entries))}: the batch axes, the windows, and "
            f"{' * '.join(map(str, entries))} ({names}); received inputs {inputs.shape}, "
            f"{argument} {values.shape}"
        )


def _floating(argument: str, dtype: Any, kind: Any = jnp.inexact) -> None:
    """Refuses integers, between which nothing can be interpolated."""
    if not jnp.issubdtype(dtype, kind):
        raise TypeError(f"`{argument}` must be floating, got {dtype}; cast it with astype")


def _at_least_float32(dtype: Any) -> Any:
    """The dtype to compute in: 16 bits are too few for positions and for sums."""
    return jnp.dtype(jnp.float32) if jnp.finfo(dtype).bits < 32 else dtype
