"""Upsampling followed by a convolution: decoding without a checkerboard."""

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Num

from jaxcnn import geometry
from jaxcnn._checks import arrays, dtypes, kernels, options
from jaxcnn._planning.plan import like, planned, to_run
from jaxcnn.functional._conv_arguments import convolution
from jaxcnn.functional._convolution import Convolution
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering import resize
from jaxcnn.lowering.problem import Precision


@planned("inputs", "kernel", "bias")
def resize_conv(
    inputs: Num[Array, "*batch_and_spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    bias: Num[Array, " out_features"] | None = None,
    *,
    scale: IntPerAxis = 2,
    resized_shape: IntPerAxis | None = None,
    method: str = "nearest",
    padding: Padding = "SAME",
    padding_mode: str = "zeros",
    kernel_dilation: IntPerAxis = 1,
    feature_group_count: int = 1,
    flip_kernel: bool = False,
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: str = "auto",
) -> Num[Array, "*batch_and_out out_features"]:
    """Upsamples `inputs` and convolves what comes out, in place of a transposed convolution.

        z[i, c] = sum over p of R[i, p] * x[p, c],      out = conv(z, kernel, bias)

    along every spatial axis, for n pixels resized to m. "nearest" copies the pixel on which the
    centre of i lies, p = floor((i + 1/2)*n/m). "linear" weighs the two between whose centres it
    lies: with u = (i + 1/2)*n/m - 1/2 kept within 0 and n - 1, R[i, p] = max(0, 1 - |u - p|). Both
    are those of `jax.image.resize`, and of PyTorch's "nearest-exact" and `align_corners=False`.

    Under a transposed convolution whose stride does not divide its kernel's size, neighbouring
    output pixels are sums of different numbers of products, and the result shows a checkerboard
    from the first step of training. Here every output pixel sees the whole kernel.

    Args:
      inputs: `(*batch, *spatial, in_features)`, any number of batch axes, none included.
      kernel: `(*kernel_size, in_features / feature_group_count, out_features)`; sets the number of
        spatial axes.
      bias: `(out_features,)`, added to every output pixel.
      scale: m / n, a whole number, per spatial axis.
      resized_shape: m, per spatial axis, in place of `scale`; no smaller than the inputs.
      method: "nearest", or "linear" for floats.
      padding: of the convolution, on the resized plane, in any form that `conv` takes.
      padding_mode: "zeros", "reflect" (without repeating the edge), "replicate" or "circular".
      kernel_dilation: pixels between neighbouring taps, per spatial axis.
      feature_group_count: groups of channels that see one another alone.
      flip_kernel: reverses the kernel along its spatial axes.
      precision: of the products, as `jax.lax.Precision`.
      preferred_element_type: dtype to accumulate in and return; 8-bit integers need one.
      algorithm: of the convolution: "auto", or one that `conv` names.
    Returns:
      `(*batch, *out, out_features)`, out = m + p_lo + p_hi - d*(k - 1), which is m for "SAME".
    Raises:
      ValueError: shapes or options disagree, or the output would be empty.
      TypeError: an argument is of the wrong type, or integers are to be interpolated.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> F.resize_conv(jnp.ones((8, 7, 7, 16)), jnp.ones((3, 3, 16, 4)), scale=2).shape
      (8, 14, 14, 4)
      >>> pixels, one_tap = jnp.array([[0.0], [4.0]]), jnp.ones((1, 1, 1))
      >>> F.resize_conv(pixels, one_tap).ravel()
      Array([0., 0., 4., 4.], dtype=float32)
      >>> F.resize_conv(pixels, one_tap, method="linear").ravel()
      Array([0., 1., 3., 4.], dtype=float32)

    References:
      A. Odena, V. Dumoulin and C. Olah, Deconvolution and checkerboard artifacts, Distill, 2016.
    """
    kernels.with_spatial_axes(kernel)
    dtypes.numeric("inputs", inputs)
    rank = kernel.ndim - 2
    batch, sizes, channels = arrays.spatial_batch(
        inputs, rank, because=f"the kernel {kernel.shape} has {rank}"
    )
    resized = geometry.resized_sizes(sizes, scale, resized_shape)
    options.choice("method", method, resize.METHODS)
    if method == "linear" and not jnp.issubdtype(inputs.dtype, jnp.inexact):
        raise TypeError(
            f"`inputs` must be floats for `method` (='linear'), got {inputs.dtype}; "
            "take 'nearest' or cast them with astype"
        )
    large = like(inputs, (*batch, *resized, channels))
    worked_out = convolution(
        large,
        kernel,
        bias,
        padding=padding,
        padding_mode=padding_mode,
        kernel_dilation=kernel_dilation,
        feature_group_count=feature_group_count,
        flip_kernel=flip_kernel,
        precision=precision,
        preferred_element_type=preferred_element_type,
        algorithm=algorithm,
    )
    return to_run(
        _resize_conv,
        batch=len(batch),
        choice=worked_out.choice(large, kernel),
        resized=resized,
        method=method,
        convolution=worked_out,
    )


def _resize_conv(
    inputs: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    resized: tuple[int, ...],
    method: str,
    convolution: Convolution,
) -> Array:
    return convolution.run(resize.resize(inputs, resized, method), kernel, bias)
