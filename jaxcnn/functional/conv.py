"""Convolution with a shared kernel, for any number of spatial axes."""

from jax.typing import DTypeLike
from jaxtyping import Array, Num

from jaxcnn._checks import kernels
from jaxcnn._planning.plan import planned
from jaxcnn.functional._conv_arguments import convolution
from jaxcnn.functional._convolution import to_convolve
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering.problem import Precision


@planned("inputs", "kernel", "bias")
def conv(
    inputs: Num[Array, "*batch_and_spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
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
) -> Num[Array, "*batch_and_out out_features"]:
    """Cross-correlates `inputs` with `kernel`: the kernel is not flipped.

        out[n, i, j, o] = sum over a, b, c of x[n, i*s + a*d, j*s + b*d, c] * kernel[a, b, c, o]
                          + bias[o]

    with x the inputs after dilation and padding. Networks learn their kernels and use this form.
    The mathematical convolution flips the kernel, out[i] = sum over a of x[i - a] * kernel[a]:
    that is `flip_kernel=True`, and the two differ in nothing but the order of the taps.

    An output's error is bounded by what its own window holds, and no group reaches another: a NaN
    stays in the windows and the group that hold it. Two algorithms that "auto" never takes differ:
    "fft" errs by about eps * log2(m) * max|x| * sum|kernel| in every output, with m the pixels and
    max|x| the largest of the image's channel, over all of which it spreads a NaN; "blocks" puts
    zeros between neighbouring groups, and a NaN reaches the outputs of groups beside its own.

    Args:
      inputs: `(*batch, *spatial, in_features)`, any number of batch axes, none included.
      kernel: `(*kernel_size, in_features / feature_group_count, out_features)`; sets the number of
        spatial axes.
      bias: `(out_features,)`, added to every output pixel.
      strides: pixels between windows, per spatial axis.
      padding: "SAME" (ceil(n / s) windows, the odd pixel at the end), "SAME_LOWER" (at the start),
        "VALID" (none), "FULL" (e - 1 on both sides, e = d*(k - 1) + 1), "CAUSAL" (e - 1 before, one
        spatial axis), "CIRCULAR" or "REFLECT" (that fill, (e - 1) // 2 before and e // 2 after), an
        int, or an int or (low, high) pair per spatial axis; negative amounts crop. Worked out on
        the dilated input.
      padding_mode: "zeros", "reflect" (without repeating the edge), "replicate" or "circular".
      input_dilation: pixels between neighbouring input pixels, zeros in between, per spatial axis.
      kernel_dilation: pixels between neighbouring taps, per spatial axis.
      feature_group_count: groups g; output features o of group q see the input channels
        q*in/g to (q + 1)*in/g - 1 alone.
      flip_kernel: reverses the kernel along its spatial axes.
      precision: of the products, as `jax.lax.Precision`.
      preferred_element_type: dtype to accumulate in and return; 8-bit integers need one.
      algorithm: "auto" chooses by platform and shapes; "direct" (XLA's own), "canonical", "matmul",
        "shift", "taps", "fft", "groups", "blocks", "phases", "planes", "adjoint", "slices",
        "repeat", "spread" and "fold" name one, and equal it within rounding. One that cannot take
        the arguments is refused with the reason.
    Returns:
      `(*batch, *out, out_features)`, out = floor((n + p_lo + p_hi - d*(k - 1) - 1) / s) + 1, in the
      common dtype of all arrays, or in the preferred one.
    Raises:
      ValueError: shapes or options disagree, or the output would be empty.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> F.conv(jnp.ones((8, 7, 7, 3)), jnp.ones((3, 3, 3, 16)), strides=2, padding="VALID").shape
      (8, 3, 3, 16)
      >>> signal, taps = jnp.array([[1.0], [2.0], [4.0]]), jnp.array([1.0, 10.0]).reshape(2, 1, 1)
      >>> F.conv(signal, taps, padding="FULL").ravel()  # slides [1, 10] over 0 1 2 4 0
      Array([10., 21., 42.,  4.], dtype=float32)
      >>> # the coefficients of (1 + 2x + 4x^2) (1 + 10x)
      >>> F.conv(signal, taps, padding="FULL", flip_kernel=True).ravel()
      Array([ 1., 12., 24., 40.], dtype=float32)

    References:
      V. Dumoulin and F. Visin, A guide to convolution arithmetic for deep learning, 2016.
    """
    kernels.with_spatial_axes(kernel)
    worked_out = convolution(
        inputs,
        kernel,
        bias,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        input_dilation=input_dilation,
        kernel_dilation=kernel_dilation,
        feature_group_count=feature_group_count,
        flip_kernel=flip_kernel,
        precision=precision,
        preferred_element_type=preferred_element_type,
        algorithm=algorithm,
    )
    return to_convolve(inputs, kernel, worked_out)
