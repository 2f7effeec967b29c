"""Depthwise convolution, each channel by itself, and the separable convolution made of it."""

from jax.typing import DTypeLike
from jaxtyping import Array, Num

from jaxcnn._checks import arrays, kernels
from jaxcnn._planning.plan import Described, like, planned, to_run
from jaxcnn.functional._conv_arguments import convolution
from jaxcnn.functional._convolution import Convolution, to_convolve
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering.problem import Precision, Typed


@planned("inputs", "kernel", "bias")
def depthwise_conv(
    inputs: Num[Array, "*batch_and_spatial in_features"],
    kernel: Num[Array, "*kernel_size in_features multiplier"],
    bias: Num[Array, " out_features"] | None = None,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    padding_mode: str = "zeros",
    input_dilation: IntPerAxis = 1,
    kernel_dilation: IntPerAxis = 1,
    flip_kernel: bool = False,
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: str = "auto",
) -> Num[Array, "*batch_and_out out_features"]:
    """Cross-correlates every channel with kernels of its own, m of them.

        out[n, i, j, c*m + q] = sum over a, b of x[n, i*s + a*d, j*s + b*d, c] * kernel[a, b, c, q]
                                + bias[c*m + q]

    with x the inputs after dilation and padding; no channel sees another. It is `conv` with as many
    groups as input channels, `kernel` reshaped to `(*kernel_size, 1, in_features * multiplier)`,
    and has in_features times fewer weights than a dense kernel with as many outputs. Large kernels
    are faster by the Fourier transform, `algorithm="fft"`, with the error that `conv` states.

    Args:
      inputs: `(*batch, *spatial, in_features)`, any number of batch axes, none included.
      kernel: `(*kernel_size, in_features, multiplier)`, as in TensorFlow; sets the number of
        spatial axes.
      bias: `(in_features * multiplier,)`, added to every output pixel.
      strides: pixels between windows, per spatial axis.
      padding: any form that `conv` takes.
      padding_mode: "zeros", "reflect" (without repeating the edge), "replicate" or "circular".
      input_dilation: pixels between neighbouring input pixels, zeros in between, per spatial axis.
      kernel_dilation: pixels between neighbouring taps, per spatial axis.
      flip_kernel: reverses the kernel along its spatial axes.
      precision: of the products, as `jax.lax.Precision`.
      preferred_element_type: dtype to accumulate in and return; 8-bit integers need one.
      algorithm: "auto", or one that `conv` names.
    Returns:
      `(*batch, *out, in_features * multiplier)`, out as for `conv`; copy q of channel c stands at
      index c*multiplier + q.
    Raises:
      ValueError: shapes or options disagree, or the output would be empty.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> F.depthwise_conv(jnp.ones((8, 7, 7, 3)), jnp.ones((3, 3, 3, 2)), strides=2).shape
      (8, 4, 4, 6)
      >>> F.depthwise_conv(jnp.array([[1.0, 2.0]]), jnp.array([[[1.0, 10.0], [1.0, 100.0]]]))
      Array([[  1.,  10.,   2., 200.]], dtype=float32)

    References:
      L. Sifre, Rigid-motion scattering for image classification, 2014.
    """
    by_channel = _by_channel("kernel", inputs, kernel)
    worked_out = convolution(
        inputs,
        by_channel,
        bias,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        input_dilation=input_dilation,
        kernel_dilation=kernel_dilation,
        feature_group_count=kernel.shape[-2],
        flip_kernel=flip_kernel,
        precision=precision,
        preferred_element_type=preferred_element_type,
        algorithm=algorithm,
    )
    return to_convolve(inputs, by_channel, worked_out)


@planned("inputs", "depthwise_kernel", "pointwise_kernel", "bias")
def separable_conv(
    inputs: Num[Array, "*batch_and_spatial in_features"],
    depthwise_kernel: Num[Array, "*kernel_size in_features multiplier"],
    pointwise_kernel: Num[Array, "*ones between out_features"],
    bias: Num[Array, " out_features"] | None = None,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    padding_mode: str = "zeros",
    input_dilation: IntPerAxis = 1,
    kernel_dilation: IntPerAxis = 1,
    flip_kernel: bool = False,
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: str = "auto",
) -> Num[Array, "*batch_and_out out_features"]:
    """Convolves every channel by itself, then mixes the channels pixel by pixel.

        out[n, i, o] = bias[o] + sum over r of y[n, i, r] * pointwise_kernel[0, r, o],
        y = depthwise_conv(inputs, depthwise_kernel)

    that is, `conv` with the kernel whose entry [a, c, o] is the sum over q of
    depthwise_kernel[a, c, q] * pointwise_kernel[0, c*m + q, o], held in two small factors:
    prod(k)*in*m + in*m*out parameters in place of prod(k)*in*out.

    Args:
      inputs: `(*batch, *spatial, in_features)`, any number of batch axes, none included.
      depthwise_kernel: `(*kernel_size, in_features, multiplier)`; sets the number of spatial axes.
      pointwise_kernel: `(*ones, in_features * multiplier, out_features)`, a kernel of one tap.
      bias: `(out_features,)`, added to every output pixel.
      strides: pixels between windows of the depthwise step, per spatial axis, as all that follow.
      padding: any form that `conv` takes.
      padding_mode: "zeros", "reflect" (without repeating the edge), "replicate" or "circular".
      input_dilation: pixels between neighbouring input pixels, zeros in between, per spatial axis.
      kernel_dilation: pixels between neighbouring taps, per spatial axis.
      flip_kernel: reverses the depthwise kernel along its spatial axes.
      precision: of the products of both steps, as `jax.lax.Precision`.
      preferred_element_type: dtype to accumulate in and return; 8-bit integers need one.
      algorithm: of the depthwise step: "auto", or one that `conv` names.
    Returns:
      `(*batch, *out, out_features)`, out as for `conv`.
    Raises:
      ValueError: shapes or options disagree, or the output would be empty.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> depthwise_kernel, pointwise_kernel = jnp.ones((3, 3, 64, 1)), jnp.ones((1, 1, 64, 128))
      >>> F.separable_conv(jnp.ones((8, 16, 16, 64)), depthwise_kernel, pointwise_kernel).shape
      (8, 16, 16, 128)
      >>> depthwise_kernel.size + pointwise_kernel.size, 3 * 3 * 64 * 128
      (8768, 73728)

    References:
      F. Chollet, Xception: deep learning with depthwise separable convolutions, 2017.
    """
    depthwise = _by_channel("depthwise_kernel", inputs, depthwise_kernel)
    rank, between = depthwise.ndim - 2, depthwise.shape[-1]
    if (
        pointwise_kernel.shape[:-1] != (1,) * rank + (between,)
        or pointwise_kernel.ndim != rank + 2
        or pointwise_kernel.shape[-1] < 1
    ):
        ones = ", ".join(["1"] * rank)
        raise ValueError(
            f"`pointwise_kernel` must be ({ones}, in_features * multiplier, out_features) = "
            f"({ones}, {between}, out_features); received depthwise_kernel "
            f"{depthwise_kernel.shape}, pointwise_kernel {pointwise_kernel.shape}"
        )
    first = convolution(
        inputs,
        depthwise,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        input_dilation=input_dilation,
        kernel_dilation=kernel_dilation,
        feature_group_count=inputs.shape[-1],
        flip_kernel=flip_kernel,
        precision=precision,
        preferred_element_type=preferred_element_type,
        algorithm=algorithm,
        kernel_argument="depthwise_kernel",
    )
    batch = inputs.shape[: -rank - 1]
    between_shape = (*batch, *first.windows.output_shape, between)
    second = convolution(
        like(inputs, between_shape, first.sum_dtype),
        pointwise_kernel
        if preferred_element_type is None
        else like(pointwise_kernel, dtype=first.sum_dtype),
        bias,
        precision=precision,
        preferred_element_type=preferred_element_type,
        kernel_argument="pointwise_kernel",
    )
    return to_run(
        _separable,
        batch=len(batch),
        first=first,
        second=second,
        choice=first.choice(inputs, depthwise),
    )


def _separable(
    inputs: Array,
    depthwise_kernel: Array,
    pointwise_kernel: Array,
    bias: Array | None = None,
    *,
    first: Convolution,
    second: Convolution,
) -> Array:
    """One convolution after the other, on one batch axis."""
    by_channel = depthwise_kernel.reshape((*first.windows.window_shape, 1, -1))
    return second.run(first.run(inputs, by_channel), pointwise_kernel, bias)


def _by_channel(argument: str, inputs: Typed, kernel: Typed) -> Described:
    """The kernel of groups of one channel that a depthwise kernel stands for.

    Raises:
      ValueError: axes or channels of inputs and kernel disagree.
    """
    if kernel.ndim < 3:
        raise ValueError(
            f"`{argument}` must be (*kernel_size, in_features, multiplier) with at least one "
            f"spatial axis; received {argument} {kernel.shape}"
        )
    size = kernels.kernel_sizes(kernel, argument)
    arrays.spatial_batch(
        inputs, len(size), because=f"the {argument} {kernel.shape} has {len(size)}"
    )
    in_features, multiplier = kernel.shape[-2:]
    if in_features != inputs.shape[-1]:
        raise ValueError(
            f"`{argument}` must have the {inputs.shape[-1]} channels of the inputs, got "
            f"{in_features}; received inputs {inputs.shape}, {argument} {kernel.shape}"
        )
    return like(kernel, (*size, 1, in_features * multiplier))
