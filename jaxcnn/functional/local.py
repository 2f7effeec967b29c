"""Convolution whose kernel is not shared: every place has weights of its own."""

from typing import Any

from jax.typing import DTypeLike
from jaxtyping import Array, Num

from jaxcnn import geometry
from jaxcnn._checks import arrays, dtypes, kernels, options
from jaxcnn._planning.plan import like, planned, to_run
from jaxcnn.functional._convolution import add_bias
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.lowering import conv_patches, fill
from jaxcnn.lowering.problem import ConvProblem, Precision


@planned("inputs", "kernel", "bias")
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
    if kernel.ndim < 4 or kernel.ndim % 2:
        raise ValueError(
            "`kernel` must be (*out, *kernel_size, in_features, out_features) with as many entries "
            f"in out as in kernel_size; received kernel {kernel.shape}"
        )
    rank = kernel.ndim // 2 - 1
    batch, sizes, in_features = arrays.spatial_batch(
        inputs, rank, because=f"the kernel {kernel.shape} has {rank}"
    )
    out, kernel_size = kernel.shape[:rank], kernels.kernel_sizes(kernel)[rank:]
    if kernel.shape[-2] != in_features:
        raise ValueError(
            f"`kernel` must have the {in_features} channels of the inputs, got "
            f"{kernel.shape[-2]}; received inputs {inputs.shape}, kernel {kernel.shape}"
        )
    dilation = geometry.per_axis("kernel_dilation", kernel_dilation, rank)
    padding, padding_mode = geometry.fill_and_amounts(padding, padding_mode, kernel_size, dilation)
    arrays.known_sizes(inputs, sizes, "for each place has a kernel of its own")
    windows = geometry.windows(
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
            f"`kernel` must have one kernel for each of the {windows.output_shape} "
            f"windows, got {out}; received inputs {inputs.shape}, kernel {kernel.shape}, strides "
            f"{windows.strides}, padding {windows.padding}"
        )
    dtype, preferred = dtypes.product_dtypes(inputs, kernel, preferred_element_type)
    mode = arrays.fill(windows, padding_mode, "zeros")
    features = kernel.shape[-1]
    if bias is not None and bias.shape not in ((features,), (*out, features)):
        raise ValueError(
            f"`bias` must be ({features},), or {out} followed by it; received bias {bias.shape}"
        )
    outputs = like(inputs, dtype=dtype if preferred is None else preferred)
    return to_run(
        _conv_local,
        batch=len(batch),
        by_rows=False,
        windows=windows,
        fill_mode=mode,
        problem=ConvProblem(
            windows if mode is None else windows.padded(),
            precision=options.product_precision(precision),
            preferred_element_type=preferred,
        ),
        dtype=dtype,
        sum_dtype=kernels.sum_dtype(outputs, bias, preferred_element_type),
    )


def _conv_local(
    inputs: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    windows: Windows,
    fill_mode: str | None,
    problem: ConvProblem,
    dtype: Any,
    sum_dtype: Any,
) -> Array:
    """A product at each place, on one batch axis."""
    laid, _ = fill.lay(inputs.astype(dtype), windows, fill_mode)
    return add_bias(conv_patches.conv_local(laid, kernel.astype(dtype), problem), bias, sum_dtype)
