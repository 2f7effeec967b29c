"""Transposed convolution: the linear map that takes a convolution's output back to its input."""

import math
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Num

from jaxcnn import geometry
from jaxcnn._checks import arrays, dtypes, kernels, options
from jaxcnn._planning.plan import Described, like, planned, to_run
from jaxcnn.functional._conv_arguments import takes
from jaxcnn.functional._convolution import add_bias, chosen
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.lowering import choose, fill
from jaxcnn.lowering.problem import ConvProblem, Precision, Typed


@planned("inputs", "kernel", "bias")
def conv_transpose(
    inputs: Num[Array, "*batch_and_spatial in_features"],
    kernel: Num[Array, "*kernel_size _ _"],
    bias: Num[Array, " out_features"] | None = None,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    padding_mode: str = "zeros",
    output_padding: IntPerAxis = 0,
    output_shape: IntPerAxis | None = None,
    kernel_dilation: IntPerAxis = 1,
    feature_group_count: int = 1,
    transpose_kernel: bool = False,
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: str = "auto",
) -> Num[Array, "*batch_and_out out_features"]:
    """Lays the kernel on the output, weighted, once for every input pixel.

        out[t, o] = bias[o] + sum over i, a, c with i*s + a*d - p_lo = t of x[i, c] * w[a, o, c]

    i, a and t run over as many axes as there are spatial ones. That is the transpose of

        y[i, c] = sum over a, o of x[i*s + a*d - p_lo, o] * w[a, o, c],

    the convolution from out_features to in_features with kernel w: <conv(x, w), y> =
    <x, conv_transpose(y, w)>. With `transpose_kernel` w is the kernel. Without it the kernel
    is w flipped, its channels exchanged, w[a, o, c] = kernel[k - 1 - a, c, o] within a group, so
    that the outputs are the correlation of the kernel with the inputs dilated by the strides.

    Args:
      inputs: `(*batch, *spatial, in_features)`, any number of batch axes, none included.
      kernel: `(*kernel_size, in_features / feature_group_count, out_features)`, or with
        `transpose_kernel` `(*kernel_size, out_features / feature_group_count, in_features)`; sets
        the number of spatial axes.
      bias: `(out_features,)`, added to every output pixel.
      strides: output pixels from where one input pixel's kernel lies to the next, per spatial axis.
      padding: of the convolution that is transposed: what it adds, this crops. "SAME",
        "SAME_LOWER", "CAUSAL" (one spatial axis) and "REFLECT" give n*s, "VALID" gives
        n*s + max(e - s, 0), e = d*(k - 1) + 1; "FULL", an int, and an int or (low, high) pair per
        spatial axis give (n - 1)*s + e - p_lo - p_hi; negative amounts add zeros. "CIRCULAR" is
        Flax's: n*s, the amounts of "SAME" ("SAME_LOWER" with `transpose_kernel`), wrapped around.
      padding_mode: "zeros", or "reflect", "replicate", "circular": what would be cropped is added
        to the pixel that the convolution's padding copies.
      output_padding: pixels added at the end of the size above, per spatial axis; below the stride
        or the dilation.
      output_shape: the spatial output sizes, in place of `output_padding`. The low amounts are
        kept, and the difference goes to the end; "SAME" and "SAME_LOWER" are worked out anew.
      kernel_dilation: pixels between neighbouring taps, per spatial axis.
      feature_group_count: groups g; output features of group q see the input channels q*in/g to
        (q + 1)*in/g - 1 alone.
      transpose_kernel: whether the kernel is that of the convolution that is transposed.
      precision: of the products, as `jax.lax.Precision`.
      preferred_element_type: dtype to accumulate in and return; 8-bit integers need one.
      algorithm: "auto", or one that `conv` names.
    Returns:
      `(*batch, *out, out_features)`, out as `padding` says, plus output_padding.
    Raises:
      ValueError: shapes or options disagree, the output would be empty, or no convolution with
        these options takes `output_shape` to the inputs' sizes.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> F.conv_transpose(jnp.ones((8, 5, 5, 3)), jnp.ones((4, 4, 3, 16)), strides=2).shape
      (8, 10, 10, 16)
      >>> pixels, kernel = jnp.ones((5, 1)), jnp.array([1.0, 10.0, 100.0]).reshape(3, 1, 1)
      >>> [F.conv_transpose(pixels, kernel, strides=2, padding=p).size for p in (0, 1, 2)]
      [11, 9, 7]
      >>> F.conv_transpose(pixels[:2], kernel, strides=2, padding=0).ravel()
      Array([100.,  10., 101.,  10.,   1.], dtype=float32)
      >>> F.conv_transpose(pixels[:2], kernel, strides=2, padding=0, transpose_kernel=True).ravel()
      Array([  1.,  10., 101.,  10., 100.], dtype=float32)

    References:
      V. Dumoulin and F. Visin, A guide to convolution arithmetic for deep learning, 2016.
    """
    transpose_kernel = options.flag("transpose_kernel", transpose_kernel)
    if kernel.ndim < 3:
        form = "out_features / feature_group_count, in_features"
        if not transpose_kernel:
            form = "in_features / feature_group_count, out_features"
        raise ValueError(
            f"`kernel` must be (*kernel_size, {form}) with at least one spatial axis; "
            f"received kernel {kernel.shape}"
        )
    rank = kernel.ndim - 2
    batch, sizes, channels = arrays.spatial_batch(
        inputs, rank, because=f"the kernel {kernel.shape} has {rank}"
    )
    kernel_size = kernels.kernel_sizes(kernel)
    turned: Typed = kernel
    if transpose_kernel:
        turned = _of_convolution(inputs, kernel, feature_group_count)
    groups = kernels.channel_groups(inputs, turned, feature_group_count)
    padding, padding_mode = _fill(padding, padding_mode, transpose_kernel)
    windows = geometry.transposed_windows(
        sizes,
        kernel_size,
        strides=strides,
        padding=padding,
        dilation=kernel_dilation,
        output_padding=output_padding,
        output_shape=output_shape,
        crop=padding_mode == "zeros",
    )
    dtype, preferred = dtypes.product_dtypes(inputs, kernel, preferred_element_type)
    precision = options.product_precision(precision)
    mode = arrays.fill(windows, padding_mode, "zeros")
    laid_on = windows if mode is None else windows.padded()
    problem = ConvProblem(laid_on.transposed(), groups, precision, preferred)
    flat = Described((math.prod(batch), *sizes, channels), dtype, False)
    takes(problem, flat, turned, algorithm)
    kernels.vector(bias, turned.shape[-1])
    outputs = like(inputs, dtype=dtype if preferred is None else preferred)
    return to_run(
        _conv_transpose,
        batch=len(batch),
        choice=chosen(algorithm, flat, turned, problem),
        windows=windows,
        fill_mode=mode,
        problem=problem,
        turn=transpose_kernel,
        dtype=dtype,
        sum_dtype=kernels.sum_dtype(outputs, bias, preferred_element_type),
        algorithm=algorithm,
    )


def _conv_transpose(
    inputs: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    windows: Windows,
    fill_mode: str | None,
    problem: ConvProblem,
    turn: bool,
    dtype: Any,
    sum_dtype: Any,
    algorithm: str,
) -> Array:
    """The convolution over the inputs spread out, on one batch axis."""
    if turn:
        kernel = _turned(kernel, problem.feature_group_count)
    outputs = choose.conv(inputs.astype(dtype), kernel.astype(dtype), problem, algorithm)
    if fill_mode is not None:
        outputs = fill.unpad(outputs, windows, fill_mode)
    return add_bias(outputs, bias, sum_dtype)


def _of_convolution(inputs: Typed, kernel: Typed, feature_group_count: int) -> Described:
    """What `(*kernel_size, out/groups, in)` is as `(*kernel_size, in/groups, out)`."""
    groups = geometry.whole_number("feature_group_count", feature_group_count, 1)
    channels, (per_group, features) = inputs.shape[-1], kernel.shape[-2:]
    received = f"received inputs {inputs.shape}, kernel {kernel.shape}"
    if features != channels:
        raise ValueError(
            f"`kernel` must have in_features = {channels} as its last axis under "
            f"`transpose_kernel` (=True), got {features}; {received}"
        )
    if channels % groups:
        raise ValueError(
            f"`feature_group_count` (={groups}) must divide `in_features` (={channels}); {received}"
        )
    return like(kernel, (*kernel.shape[:-2], channels // groups, groups * per_group))


def _turned(kernel: Array, groups: int) -> Array:
    """Rewrites `(*kernel_size, out/groups, in)` as the flipped `(*kernel_size, in/groups, out)`."""
    *spatial, per_group, channels = kernel.shape
    kernel = jnp.flip(kernel, range(len(spatial)))
    kernel = kernel.reshape((*spatial, per_group, groups, channels // groups))
    kernel = jnp.swapaxes(kernel, -1, -3)
    return kernel.reshape((*spatial, channels // groups, groups * per_group))


def _fill(padding: Padding, padding_mode: str, transpose_kernel: bool) -> tuple[Padding, str]:
    """Splits "CIRCULAR" and "REFLECT" into a padding of `transposed_windows` and a fill.

    Flax wraps the whole "VALID" output around n*s pixels, so that a surplus of q = max(e - s, 0) is
    shared evenly, the odd pixel going before the output with `transpose_kernel` and after it
    without. Its convolution pads (e - 1)//2 before, which is the same for s = 1 with an odd e, and
    for s = 2.
    """
    _, padding_mode = geometry.fill_and_amounts(padding, padding_mode, (), ())
    if isinstance(padding, str) and padding.upper() == "CIRCULAR":
        padding = "SAME_LOWER" if transpose_kernel else "SAME"
    return padding, padding_mode
