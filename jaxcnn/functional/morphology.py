"""Grey-scale morphology: windows with a maximum of sums where convolution has a sum of products."""

import jax.numpy as jnp
from jaxtyping import Array, Real

from jaxcnn import geometry
from jaxcnn.functional import _arguments
from jaxcnn.functional._program import program
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering import morphology as lowering


@program("inputs", "kernel", image=lambda kernel, **_: kernel.ndim)
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
    return _best_sum("grey_dilation", inputs, kernel, strides, padding, kernel_dilation)


@program("inputs", "kernel", image=lambda kernel, **_: kernel.ndim)
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
    return _best_sum("grey_erosion", inputs, kernel, strides, padding, kernel_dilation)


def _best_sum(
    function: str,
    inputs: object,
    kernel: object,
    strides: object,
    padding: object,
    kernel_dilation: object,
) -> Array:
    """Checks the arguments of both functions and computes the one named."""
    values = _arguments.array(function, "inputs", inputs)
    element = _arguments.array(function, "kernel", kernel)
    if element.ndim < 2 or 0 in element.shape:
        raise ValueError(
            f"{function}: `kernel` must be (*kernel_size, channels) with at least one spatial axis "
            f"and none empty; received kernel {element.shape}"
        )
    rank = element.ndim - 1
    batch, sizes, channels = _arguments.spatial_batch(
        function, values, rank, because=f"the kernel {element.shape} has {rank}"
    )
    if element.shape[-1] != channels:
        raise ValueError(
            f"{function}: `kernel` must have as many channels as the inputs ({channels}), got "
            f"{element.shape[-1]}; received inputs {values.shape}, kernel {element.shape}"
        )
    windows = geometry.windows(
        function,
        sizes,
        element.shape[:-1],
        strides=strides,
        padding=padding,
        dilation=kernel_dilation,
        window_argument="kernel",
        dilation_argument="kernel_dilation",
    )
    geometry.refuse_window_in_padding(function, windows, "kernel")
    values, element = _arguments.same_dtype(function, inputs=values, kernel=element)
    if values.dtype == jnp.bool_ or jnp.issubdtype(values.dtype, jnp.complexfloating):
        raise TypeError(
            f"{function}: `inputs` and `kernel` must hold real numbers, which have an order, got "
            f"{values.dtype}; cast them with astype"
        )
    minimum = function == "grey_erosion"
    if minimum:
        element = jnp.flip(element, range(rank))
    outputs = lowering.best_sum(_arguments.flatten_batch(values, rank), element, windows, minimum)
    return _arguments.restore_batch(outputs, batch)
