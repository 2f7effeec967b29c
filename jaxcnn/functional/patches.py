"""Cutting an image into windows and adding windows back into an image."""

from jaxtyping import Array, Num, Shaped

from jaxcnn import geometry
from jaxcnn._checks import dtypes, pools
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.lowering import patches as lowering


@planned("inputs")
def unfold(
    inputs: Shaped[Array, "*batch_and_spatial channels"],
    window_shape: tuple[int, ...],
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "VALID",
    window_dilation: IntPerAxis = 1,
) -> Shaped[Array, "*batch_and_out_and_window channels"]:
    """Copies every window of `inputs`: what a convolution multiplies with its kernel.

        out[n, i, j, a, b, c] = x[n, i*s + a*d, j*s + b*d, c]

    with x the inputs after padding with zeros. Pixels are copied and never multiplied, so that
    every value of every dtype comes through as it is and a NaN stays in the windows that see it.
    The gradient is `fold` of the cotangent.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      window_shape: taps of a window, a tuple with one int per spatial axis.
      strides: pixels between windows, per spatial axis.
      padding: "SAME" (ceil(n / s) windows, the odd pixel at the end), "SAME_LOWER" (at the start),
        "VALID" (none), "FULL" (e - 1 on both sides, e = d*(k - 1) + 1), "CAUSAL" (e - 1 before, one
        spatial axis), an int, or an int or (low, high) pair per spatial axis.
      window_dilation: pixels between neighbouring taps, per spatial axis.
    Returns:
      `(*batch, *out, *window_shape, channels)`, out = floor((n + p_lo + p_hi - d*(k - 1) - 1) / s)
      + 1, in the inputs' dtype.
    Raises:
      ValueError: shapes or options disagree, or not one window fits.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> F.unfold(jnp.arange(5).reshape(5, 1), (3,))[..., 0]
      Array([[0, 1, 2],
             [1, 2, 3],
             [2, 3, 4]], dtype=int32)
      >>> images, kernel = jnp.ones((8, 7, 7, 3)), jnp.ones((3, 3, 3, 16))
      >>> patches = F.unfold(images, (3, 3), strides=2)
      >>> patches.shape
      (8, 3, 3, 3, 3, 3)
      >>> outputs = jnp.tensordot(patches, kernel, axes=3)  # the convolution as one product
      >>> bool((outputs == F.conv(images, kernel, strides=2, padding="VALID")).all())
      True

      PyTorch keeps channels first, in one axis with the taps, and all windows in another:

      >>> patches.transpose(0, 5, 3, 4, 1, 2).reshape(8, 3 * 3 * 3, 3 * 3).shape
      (8, 27, 9)
    """
    window_shape = geometry.axes_tuple("window_shape", window_shape)
    strides = geometry.per_axis("strides", strides, len(window_shape))  # None is none here
    batch, windows, _ = pools.windows(
        inputs, window_shape, strides=strides, padding=padding, window_dilation=window_dilation
    )
    return to_run(_unfold, batch=batch, windows=windows)


@planned("patches")
def fold(
    patches: Num[Array, "*batch_and_out_and_window channels"],
    output_shape: tuple[int, ...],
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "VALID",
    window_dilation: IntPerAxis = 1,
) -> Num[Array, "*batch_and_spatial channels"]:
    """Adds windows in place, the adjoint of `unfold`: <unfold(x), p> = <x, fold(p)>.

        out[n, u, v, c] = sum over i, j, a, b with i*s + a*d = u + p_lo, j*s + b*d = v + p_lo
                          of patches[n, i, j, a, b, c]

    What falls into the padding is dropped, and a pixel that no window reaches is 0. It is no
    inverse: fold(unfold(x)) is x times the number of windows that see each pixel,
    fold(unfold(ones)). Patches are shifted and added, never multiplied: a NaN reaches the pixels of
    its own window alone, and sums of integers are exact while they fit the dtype. Floats of 16 bits
    are added in float32. The gradient is `unfold` of the cotangent.

    Args:
      patches: `(*batch, *out, *window_shape, channels)`, as `unfold` returns them.
      output_shape: spatial sizes of the result, a tuple with one int per spatial axis.
      strides: pixels between windows, per spatial axis.
      padding: any form that `unfold` takes, with strings worked out on `output_shape`.
      window_dilation: pixels between neighbouring taps, per spatial axis.
    Returns:
      `(*batch, *output_shape, channels)`, in the patches' dtype.
    Raises:
      ValueError: shapes or options disagree; above all, `unfold` of an image of `output_shape` with
        the same options would give another number of windows.
      TypeError: an argument is of the wrong type, or booleans.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> signal = jnp.array([[1.0], [2.0], [4.0], [8.0]])
      >>> F.fold(F.unfold(signal, (2,)), (4,)).ravel()  # 1 * 1, 2 * 2, 2 * 4, 1 * 8
      Array([1., 4., 8., 8.], dtype=float32)
      >>> F.fold(jnp.ones((8, 3, 3, 3, 3, 3)), (7, 7), strides=2).shape
      (8, 7, 7, 3)

      PyTorch's columns, channels first and the taps with them, are brought into this order by

      >>> columns = jnp.ones((8, 3 * 3 * 3, 3 * 3))
      >>> columns.reshape(8, 3, 3, 3, 3, 3).transpose(0, 4, 5, 2, 3, 1).shape
      (8, 3, 3, 3, 3, 3)
    """
    dtypes.numeric("patches", patches)
    output_shape = geometry.axes_tuple("output_shape", output_shape, entry=geometry.whole_size)
    rank = len(output_shape)
    if patches.ndim < 2 * rank + 1:
        raise ValueError(
            f"`patches` must be (*batch, *out, *window_shape, channels) with {rank} spatial "
            f"axes, since the output_shape {output_shape} has {rank}; received patches "
            f"{patches.shape}"
        )
    split = patches.ndim - 2 * rank - 1
    counts = patches.shape[split : split + rank]
    window_shape = patches.shape[split + rank : -1]
    if 0 in patches.shape[split:]:
        raise ValueError(
            f"`patches` must have no empty axis but batch axes; received patches {patches.shape}"
        )
    windows = geometry.windows(
        output_shape,
        window_shape,
        strides=strides,
        padding=padding,
        dilation=window_dilation,
        window_argument="patches",
    )
    if windows.output_shape != counts:
        raise ValueError(
            f"`patches` must hold {windows.output_shape} windows, the number in an image of "
            f"`output_shape` (={output_shape}) with strides {windows.strides}, padding "
            f"{windows.padding}, window_dilation {windows.dilation}; received {counts}, patches "
            f"{patches.shape}"
        )
    return to_run(_fold, batch=split, images=("patches",), by_rows=False, windows=windows)


def _unfold(inputs: Array, *, windows: Windows) -> Array:
    return lowering.unfold(inputs, windows)


def _fold(patches: Array, *, windows: Windows) -> Array:
    return lowering.fold(patches, windows)
