"""Convolution whose kernel is not shared: every place has weights of its own."""

from jax.typing import DTypeLike
from jaxtyping import Array, Num

from jaxcnn import geometry
from jaxcnn.functional import _arguments, _dtypes, _kernels
from jaxcnn.functional._program import program
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering import conv_patches
from jaxcnn.lowering.dtypes import spread
from jaxcnn.lowering.problem import ConvProblem, Precision


@program("inputs", "kernel", "bias", image=lambda kernel, **_: kernel.ndim // 2)
def conv_local(
    inputs: Num[Array, "*batch_and_spatial in_features"],
    kernel: Num[Array, "*out_and_kernel_size in_features out_features"],
    bias: Num[Array, "*out_or_none out_features"] | None = None,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    padding_mode: str = "zeros",
    input_dilation: IntPerAxis = 1,
    kernel_dilation: IntPerAxis = 1,
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
) -> Num[Array, "*batch_and_out out_features"]:
    """Cross-correlates `inputs` with a kernel of its own at every place: unshared convolution.

        out[n, i, j, o] = sum over a, b, c of
                          x[n, i*s + a*d, j*s + b*d, c] * kernel[i, j, a, b, c, o] + bias[o]

    with x the inputs after dilation and padding. `conv` is the case in which `kernel[i, j]` is the
    same for all i and j: parameter sharing. What is unshared no longer commutes with shifts of the
    inputs, and has prod(out) times as many weights:

    | layer on 28 x 28 x 1 -> 24 x 24 x 6, 5 x 5 taps | weights                              |
    |--------------------------------------------------|--------------------------------------|
    | shared, `conv`                                   | 5*5*1*6 = 150                        |
    | unshared, `conv_local`                           | 24*24 * 5*5*1*6 = 86,400             |
    | fully connected                                  | 28*28*1 * 24*24*6 = 2,709,504        |

    Args:
      inputs: `(*batch, *spatial, in_features)`, any number of batch axes, none included.
      kernel: `(*out, *kernel_size, in_features, out_features)`; has 2 d + 2 axes and so sets the
        number d of spatial axes. Flax's `ConvLocal` keeps the taps and channels of a place in one
        axis, channels first: its kernel `(*out, in_features * prod(k), features)` is ours after
        reshaping to `(*out, in_features, *kernel_size, features)` and moving in_features back.
      bias: `(out_features,)`, the same at every place, or `(*out, out_features)`.
      strides: pixels between windows, per spatial axis.
      padding: any form that `conv` takes.
      padding_mode: "zeros", "reflect" (without repeating the edge), "replicate" or "circular".
      input_dilation: pixels between neighbouring input pixels, zeros in between, per spatial axis.
      kernel_dilation: pixels between neighbouring taps, per spatial axis.
      precision: of the products, as `jax.lax.Precision`.
      preferred_element_type: dtype to accumulate in and return; 8-bit integers need one.
    Returns:
      `(*batch, *out, out_features)`, out = floor((n + p_lo + p_hi - d*(k - 1) - 1) / s) + 1.
    Raises:
      ValueError: shapes or options disagree, such as the kernel's `out` with that of the windows.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> kernel = jnp.ones((24, 24, 5, 5, 1, 6))
      >>> kernel.size
      86400
      >>> F.conv_local(jnp.ones((8, 28, 28, 1)), kernel, padding="VALID").shape
      (8, 24, 24, 6)

    References:
      K. Gregor and Y. LeCun, Emergence of complex-like cells in a temporal product network with
      local receptive fields, 2010.
    """
    inputs = _arguments.array("conv_local", "inputs", inputs)
    kernel = _arguments.array("conv_local", "kernel", kernel)
    if kernel.ndim < 4 or kernel.ndim % 2:
        raise ValueError(
            "conv_local: `kernel` must be (*out, *kernel_size, in_features, out_features) with as "
            f"many entries in out as in kernel_size; received kernel {kernel.shape}"
        )
    rank = kernel.ndim // 2 - 1
    batch, sizes, in_features = _arguments.spatial_batch(
        "conv_local", inputs, rank, because=f"the kernel {kernel.shape} has {rank}"
    )
    out, kernel_size = kernel.shape[:rank], _kernels.kernel_sizes("conv_local", kernel)[rank:]
    if kernel.shape[-2] != in_features:
        raise ValueError(
            f"conv_local: `kernel` must have the {in_features} channels of the inputs, got "
            f"{kernel.shape[-2]}; received inputs {inputs.shape}, kernel {kernel.shape}"
        )
    dilation = geometry.per_axis("conv_local", "kernel_dilation", kernel_dilation, rank)
    padding, padding_mode = geometry.fill_and_amounts(
        "conv_local", padding, padding_mode, kernel_size, dilation
    )
    because = "for each place has a kernel of its own"
    _arguments.known_sizes("conv_local", inputs, sizes, because)
    windows = geometry.windows(
        "conv_local",
        sizes,
        kernel_size,
        strides=strides,
        padding=padding,
        dilation=dilation,
        input_dilation=input_dilation,
        crop=padding_mode == "zeros",
        window_argument="kernel",
        dilation_argument="kernel_dilation",
    )
    if windows.output_shape != out:
        raise ValueError(
            f"conv_local: `kernel` must have one kernel for each of the {windows.output_shape} "
            f"windows, got {out}; received inputs {inputs.shape}, kernel {kernel.shape}, strides "
            f"{windows.strides}, padding {windows.padding}"
        )
    inputs, kernel, preferred = _dtypes.product_dtypes(
        "conv_local", inputs, kernel, preferred_element_type
    )
    flat = _arguments.flatten_batch(inputs, rank)
    if padding_mode != "zeros":
        flat = _arguments.dilate_spatial(flat, windows.input_dilation)
        flat = _arguments.pad_spatial("conv_local", flat, windows.padding, padding_mode)
        windows = windows.padded()
    precision = _dtypes.product_precision("conv_local", precision)
    problem = ConvProblem(windows, precision=precision, preferred_element_type=preferred)
    outputs = conv_patches.conv_local(flat, kernel, problem)
    outputs = _arguments.restore_batch(outputs, batch)
    return _add_bias(outputs, bias, out, preferred_element_type)


def _add_bias(
    outputs: Array,
    bias: object,
    out: tuple[int, ...],
    preferred_element_type: DTypeLike | None,
) -> Array:
    """Adds a bias shared by all places, or one of each place."""
    if bias is None:
        return outputs
    values = _arguments.array("conv_local", "bias", bias)
    if values.shape != (*out, outputs.shape[-1]):
        if values.ndim != 1:
            raise ValueError(
                f"conv_local: `bias` must be ({outputs.shape[-1]},), or {out} followed by it; "
                f"received bias {values.shape}"
            )
        return _kernels.add_bias("conv_local", outputs, values, preferred_element_type)
    values, outputs = _kernels.bias_and_outputs(
        "conv_local", values, outputs, preferred_element_type
    )
    return outputs + spread(values, outputs)
