"""Grey-scale morphology: windows with a maximum of sums where convolution has a sum of products."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Real

from jaxcnn import geometry
from jaxcnn._checks import arrays, dtypes
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.lowering import morphology as lowering
from jaxcnn.lowering.problem import Typed


@planned("inputs", "kernel")
def grey_dilation(
    inputs: Real[Array, "*batch_and_spatial channels"],
    kernel: Real[Array, "*kernel_size channels"],
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    kernel_dilation: IntPerAxis = 1,
) -> Real[Array, "*batch_and_out channels"]:
    """Dilates the bright regions of `inputs` by a structuring element, channel by channel.

        out[n, i, j, c] = max over a, b of x[n, i*s + a*d, j*s + b*d, c] + kernel[a, b, c]

    with x the padded inputs; taps in the padding take no part, so that even a pixel of -inf wins
    over it. The kernel is not reflected, as in TensorFlow's `dilation2d`. A kernel of zeros gives
    `max_pool`; an entry of -inf leaves its tap out, which shapes the element. (Zeros between the
    pixels of an image are `dilate`; a dilated convolution is `conv` with `kernel_dilation`.)

    Of equal sums the first in row-major order of the window takes the whole gradient, both for the
    inputs and for the kernel. NaN in a window gives NaN, and the gradient goes to the first one.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      kernel: the structuring element, `(*kernel_size, channels)`; sets the number of spatial axes.
      strides: pixels between windows, per spatial axis.
      padding: "SAME" (ceil(n / s) windows, the odd pixel at the end; the image keeps its size, as
        is usual in morphology), "SAME_LOWER" (the odd pixel at the start), "VALID" (none), "FULL"
        (e - 1 on both sides, e = d*(k - 1) + 1), "CAUSAL" (e - 1 before, one spatial axis), an int,
        or an int or (low, high) pair per spatial axis.
      kernel_dilation: pixels between neighbouring taps, per spatial axis.
    Returns:
      `(*batch, *out, channels)`, out = floor((n + p_lo + p_hi - d*(k - 1) - 1) / s) + 1, in the
      common dtype of both arguments. A sum of integers that leaves the dtype's range is replaced by
      the end of the range (TensorFlow's wraps around).
    Raises:
      ValueError: shapes or options disagree, no window fits, or one lies wholly in the padding.
      TypeError: an argument is of the wrong type, or complex or boolean.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> signal = jnp.array([0, 5, 1, 0, 0]).reshape(5, 1)
      >>> F.grey_dilation(signal, jnp.array([-1, 0, -2]).reshape(3, 1)).ravel()
      Array([3, 5, 4, 0, 0], dtype=int32)
      >>> F.grey_dilation(jnp.ones((8, 7, 7, 3)), jnp.zeros((3, 3, 3)), strides=2).shape
      (8, 4, 4, 3)

    References:
      J. Serra, Image Analysis and Mathematical Morphology, 1982.
    """
    return _best_sum(False, inputs, kernel, strides, padding, kernel_dilation)


@planned("inputs", "kernel")
def grey_erosion(
    inputs: Real[Array, "*batch_and_spatial channels"],
    kernel: Real[Array, "*kernel_size channels"],
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    kernel_dilation: IntPerAxis = 1,
) -> Real[Array, "*batch_and_out channels"]:
    """Erodes the bright regions of `inputs` by a structuring element, channel by channel.

        out[n, i, j, c] = min over a, b of x[n, i*s + a*d, j*s + b*d, c] - kernel[k-1-a, k-1-b, c]

    with x the padded inputs; taps in the padding take no part. The kernel is reflected, as in
    TensorFlow's `erosion2d`, whose formula counts the taps backwards, x[i*s - a*d] - kernel[a]. So
    erosion is dilation's dual: grey_erosion(x, kernel) is -grey_dilation(-x, reflected kernel), and
    with odd kernels, stride 1 and "SAME" padding grey_erosion(grey_dilation(x, kernel), kernel) is
    the closing of x, never below x. A kernel of zeros gives `min_pool`.

    Of equal differences the first in row-major order of the window takes the whole gradient, both
    for the inputs and for the kernel. NaN in a window gives NaN, and the gradient goes to the first
    one.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      kernel: the structuring element, `(*kernel_size, channels)`; sets the number of spatial axes.
      strides: pixels between windows, per spatial axis.
      padding: any form that `grey_dilation` takes.
      kernel_dilation: pixels between neighbouring taps, per spatial axis.
    Returns:
      `(*batch, *out, channels)`, out = floor((n + p_lo + p_hi - d*(k - 1) - 1) / s) + 1, in the
      common dtype of both arguments. A difference of integers that leaves the dtype's range is
      replaced by the end of the range (TensorFlow's wraps around).
    Raises:
      ValueError: shapes or options disagree, no window fits, or one lies wholly in the padding.
      TypeError: an argument is of the wrong type, or complex or boolean.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> dilated = jnp.array([3, 5, 4, 0, 0]).reshape(5, 1)  # what 0 5 1 0 0 became above
      >>> F.grey_erosion(dilated, jnp.array([-1, 0, -2]).reshape(3, 1)).ravel()
      Array([3, 5, 1, 0, 0], dtype=int32)

    References:
      J. Serra, Image Analysis and Mathematical Morphology, 1982.
    """
    return _best_sum(True, inputs, kernel, strides, padding, kernel_dilation)


def _best_sum(
    minimum: bool,
    inputs: Typed,
    kernel: Typed,
    strides: IntPerAxis,
    padding: Padding,
    kernel_dilation: IntPerAxis,
) -> Any:
    """Plans both: the sum that is largest, or the difference that is least."""
    if kernel.ndim < 2 or 0 in kernel.shape:
        raise ValueError(
            "`kernel` must be (*kernel_size, channels) with at least one spatial axis and none "
            f"empty; received kernel {kernel.shape}"
        )
    rank = kernel.ndim - 1
    batch, sizes, channels = arrays.spatial_batch(
        inputs, rank, because=f"the kernel {kernel.shape} has {rank}"
    )
    if kernel.shape[-1] != channels:
        raise ValueError(
            f"`kernel` must have as many channels as the inputs ({channels}), got "
            f"{kernel.shape[-1]}; received inputs {inputs.shape}, kernel {kernel.shape}"
        )
    windows = geometry.windows(
        sizes,
        kernel.shape[:-1],
        strides=strides,
        padding=padding,
        dilation=kernel_dilation,
        window_argument="kernel",
        dilation_argument="kernel_dilation",
    )
    geometry.refuse_window_in_padding(windows, "kernel")
    dtype = dtypes.common_dtype(inputs=inputs, kernel=kernel)
    if dtype == jnp.bool_ or jnp.issubdtype(dtype, jnp.complexfloating):
        raise TypeError(
            f"`inputs` and `kernel` must hold real numbers, which have an order, got {dtype}; "
            "cast them with astype"
        )
    return to_run(_sums, batch=len(batch), windows=windows, minimum=minimum, dtype=dtype)


def _sums(inputs: Array, kernel: Array, *, windows: Windows, minimum: bool, dtype: Any) -> Array:
    element = jnp.flip(kernel, range(windows.rank)) if minimum else kernel
    return lowering.best_sum(inputs.astype(dtype), element.astype(dtype), windows, minimum)
