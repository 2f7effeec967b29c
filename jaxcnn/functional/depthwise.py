"""Depthwise convolution, each channel by itself, and the separable convolution made of it."""

from jax.typing import DTypeLike
from jaxtyping import Array, Num

from jaxcnn.functional import _arguments, _kernels
from jaxcnn.functional._convolve import convolve
from jaxcnn.functional._program import program
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering.problem import Precision


@program("inputs", "kernel", "bias", image=lambda kernel, **_: kernel.ndim - 1)
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
    inputs, kernel = _depthwise_arguments("depthwise_conv", "kernel", inputs, kernel)
    in_features, multiplier = kernel.shape[-2:]
    return convolve(
        "depthwise_conv",
        inputs,
        kernel.reshape((*kernel.shape[:-2], 1, in_features * multiplier)),
        bias,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        input_dilation=input_dilation,
        kernel_dilation=kernel_dilation,
        feature_group_count=in_features,
        flip_kernel=flip_kernel,
        precision=precision,
        preferred_element_type=preferred_element_type,
        algorithm=algorithm,
    )


@program(
    "inputs",
    "depthwise_kernel",
    "pointwise_kernel",
    "bias",
    image=lambda depthwise_kernel, **_: depthwise_kernel.ndim - 1,
)
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
    name = "separable_conv"
    inputs, depthwise_kernel = _depthwise_arguments(
        name, "depthwise_kernel", inputs, depthwise_kernel
    )
    pointwise_kernel = _arguments.array(name, "pointwise_kernel", pointwise_kernel)
    rank = depthwise_kernel.ndim - 2
    in_features, multiplier = depthwise_kernel.shape[-2:]
    between = in_features * multiplier
    if (
        pointwise_kernel.shape[:-1] != (1,) * rank + (between,)
        or pointwise_kernel.ndim != rank + 2
        or pointwise_kernel.shape[-1] < 1
    ):
        ones = ", ".join(["1"] * rank)
        raise ValueError(
            f"{name}: `pointwise_kernel` must be ({ones}, in_features * multiplier, out_features) "
            f"= ({ones}, {between}, out_features); received depthwise_kernel "
            f"{depthwise_kernel.shape}, pointwise_kernel {pointwise_kernel.shape}"
        )
    outputs = convolve(
        name,
        inputs,
        depthwise_kernel.reshape((*depthwise_kernel.shape[:-2], 1, between)),
        None,
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        input_dilation=input_dilation,
        kernel_dilation=kernel_dilation,
        feature_group_count=in_features,
        flip_kernel=flip_kernel,
        precision=precision,
        preferred_element_type=preferred_element_type,
        algorithm=algorithm,
        kernel_argument="depthwise_kernel",
    )
    if preferred_element_type is not None:
        pointwise_kernel = pointwise_kernel.astype(outputs.dtype)
    return convolve(
        name,
        outputs,
        pointwise_kernel,
        bias,
        strides=1,
        padding="VALID",
        padding_mode="zeros",
        input_dilation=1,
        kernel_dilation=1,
        feature_group_count=1,
        flip_kernel=False,
        precision=precision,
        preferred_element_type=preferred_element_type,
        algorithm="auto",
        kernel_argument="pointwise_kernel",
    )


def _depthwise_arguments(
    function: str, argument: str, inputs: object, kernel: object
) -> tuple[Array, Array]:
    """Returns inputs and depthwise kernel as arrays if their axes and channels agree."""
    values = _arguments.array(function, "inputs", inputs)
    taps = _arguments.array(function, argument, kernel)
    if taps.ndim < 3:
        raise ValueError(
            f"{function}: `{argument}` must be (*kernel_size, in_features, multiplier) with at "
            f"least one spatial axis; received {argument} {taps.shape}"
        )
    _kernels.kernel_sizes(function, taps, argument)
    rank = taps.ndim - 2
    _arguments.spatial_batch(
        function, values, rank, because=f"the {argument} {taps.shape} has {rank}"
    )
    if taps.shape[-2] != values.shape[-1]:
        raise ValueError(
            f"{function}: `{argument}` must have the {values.shape[-1]} channels of the inputs, "
            f"got {taps.shape[-2]}; received inputs {values.shape}, {argument} {taps.shape}"
        )
    return values, taps
