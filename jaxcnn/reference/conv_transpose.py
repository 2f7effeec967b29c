"""Transposed convolution by explicit sums, and its gradient derived by hand."""

import numpy as np

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.reference import _taps


@named
def conv_transpose(
    inputs: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    padding_mode: str = "zeros",
    output_padding: IntPerAxis = 0,
    output_shape: IntPerAxis | None = None,
    kernel_dilation: IntPerAxis = 1,
    feature_group_count: int = 1,
    transpose_kernel: bool = False,
) -> np.ndarray:
    """Lays the kernel on the output once for every input pixel, weighted by that pixel.

        canvas[u, o] = sum over i, a, c with i*s + a*d = u of x[i, c] * w[a, o, c]
        out[t, o]    = bias[o] + sum over u with source(u) = t of canvas[u, o]

    i, a, t and u run over as many axes as there are spatial ones. source(u) is the pixel that the
    padding of the transposed convolution shows at u: u - p_lo within the output, and beyond it
    nothing for zeros, or the pixel that `padding_mode` repeats. w is the kernel for
    `transpose_kernel`; otherwise w[a, o, c] = kernel[k - 1 - a, c, o]. With groups, c runs over
    the channels of o's group alone.

    Args:
      inputs: `(*batch, *spatial, in_features)`.
      kernel: `(*kernel_size, in_features / feature_group_count, out_features)`, or with
        `transpose_kernel` `(*kernel_size, out_features / feature_group_count, in_features)`.
      bias: `(out_features,)`.
      strides: s, output pixels from one input pixel's kernel to the next.
      padding: any form that `jaxcnn.functional.conv_transpose` takes.
      padding_mode: "zeros", "reflect", "replicate" or "circular".
      output_padding: pixels added at the end.
      output_shape: the spatial output sizes, in place of output_padding.
      kernel_dilation: d, pixels between neighbouring taps.
      feature_group_count: number of groups of channels.
      transpose_kernel: whether the kernel is that of the convolution being transposed.
    Returns:
      `(*batch, *out, out_features)` in float64, or complex128 for complex arguments.
    """
    x, w, windows, mode = _prepare(
        inputs, kernel, strides, padding, padding_mode, output_padding, output_shape,
        kernel_dilation, feature_group_count, transpose_kernel,
    )  # fmt: skip
    batch = _taps.batch_shape(inputs, windows.rank)
    out_features = w.shape[-2] * feature_group_count
    shape = (len(x), *windows.padded().sizes, out_features)
    canvas = np.zeros(shape, np.result_type(x, w))
    groups = _taps.channel_groups(x.shape[-1], out_features, feature_group_count)
    for channels, features in groups:
        for tap, where in _taps.taps(windows):
            canvas[where][..., features] += x[..., channels] @ w[tap][:, channels].T
    out = _taps.dilate_and_pad_vjp(canvas, windows, mode)
    if bias is not None:
        out = out + _taps.as_float(bias)
    return _taps.restore_batch(out, batch)


@named
def conv_transpose_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    padding_mode: str = "zeros",
    output_padding: IntPerAxis = 0,
    output_shape: IntPerAxis | None = None,
    kernel_dilation: IntPerAxis = 1,
    feature_group_count: int = 1,
    transpose_kernel: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Pulls the cotangent g of `conv_transpose` back to its arguments.

    Let L be a scalar with g[t, o] = dL/d out[t, o].

    Canvas. canvas[u, o] enters out[source(u), o] alone, so that

        dL/d canvas[u, o] = g_padded[u, o] = g[source(u), o], and 0 where u shows no pixel:

    the cotangent, padded as the transposed convolution pads its input.

    Inputs. x[i, c] enters canvas[i*s + a*d, o] for every tap a and feature o:

        dL/dx[i, c] = sum over a, o of g_padded[i*s + a*d, o] * w[a, o, c],

    the convolution of g with w under stride s: transposing twice gives back what was transposed.

    Kernel. w[a, o, c] multiplies x[i, c] for every input pixel i of every image n, and the product
    goes to canvas[i*s + a*d, o]:

        dL/dw[a, o, c] = sum over n, i of g_padded[n, i*s + a*d, o] * x[n, i, c],

    the kernel's gradient of a convolution in which g is the input and x the cotangent. Without
    `transpose_kernel`, dL/dkernel[a, c, o] = dL/dw[k - 1 - a, o, c].

    Bias. It is added to every pixel: dL/dbias[o] = sum over n, t of g[n, t, o].

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `conv_transpose`.
      kernel: as for `conv_transpose`.
      bias: as for `conv_transpose`.
      strides: as for `conv_transpose`.
      padding: as for `conv_transpose`.
      padding_mode: as for `conv_transpose`.
      output_padding: as for `conv_transpose`.
      output_shape: as for `conv_transpose`.
      kernel_dilation: as for `conv_transpose`.
      feature_group_count: as for `conv_transpose`.
      transpose_kernel: as for `conv_transpose`.
    Returns:
      The gradients of inputs, kernel and bias (None without one). Complex arguments are pulled back
      by the transpose, without conjugation, as JAX does.
    """
    x, w, windows, mode = _prepare(
        inputs, kernel, strides, padding, padding_mode, output_padding, output_shape,
        kernel_dilation, feature_group_count, transpose_kernel,
    )  # fmt: skip
    g = _taps.flatten_batch(_taps.as_float(cotangent), windows.rank)
    dtype = np.result_type(x, w, g)
    padded = _taps.dilate_and_pad(g, windows, mode)
    every = tuple(range(x.ndim - 1))
    d_x, d_w = np.zeros(x.shape, dtype), np.zeros(w.shape, dtype)
    groups = _taps.channel_groups(x.shape[-1], g.shape[-1], feature_group_count)
    for channels, features in groups:
        for tap, where in _taps.taps(windows):
            pixels = padded[where][..., features]
            d_x[..., channels] += pixels @ w[tap][:, channels]
            d_w[tap][:, channels] += np.tensordot(pixels, x[..., channels], axes=(every, every))
    d_kernel = d_w if transpose_kernel else _exchanged(d_w, feature_group_count)
    d_bias = None if bias is None else g.sum(axis=tuple(range(g.ndim - 1)))
    return d_x.reshape(np.shape(inputs)), d_kernel, d_bias


def _prepare(
    inputs, kernel, strides, padding, padding_mode, output_padding, output_shape,
    kernel_dilation, groups, transpose_kernel,
) -> tuple[np.ndarray, np.ndarray, Windows, str]:  # fmt: skip
    """Flattens the batch, brings the kernel to the form w and works out where it lies."""
    x, w = _taps.as_float(inputs), _taps.as_float(kernel)
    rank = w.ndim - 2
    _, mode = geometry.fill_and_amounts(padding, padding_mode, (), ())
    if isinstance(padding, str) and padding.upper() == "CIRCULAR":
        padding = "SAME_LOWER" if transpose_kernel else "SAME"
    windows = geometry.transposed_windows(
        np.shape(inputs)[np.ndim(inputs) - rank - 1 : -1],
        w.shape[:-2],
        strides=strides,
        padding=padding,
        dilation=kernel_dilation,
        output_padding=output_padding,
        output_shape=output_shape,
        crop=True,
    )
    if not transpose_kernel:
        w = _exchanged(w, groups)
    return _taps.flatten_batch(x, rank), w, windows, mode


def _exchanged(kernel: np.ndarray, groups: int) -> np.ndarray:
    """Flips the taps and exchanges the channels: [k - 1 - a, c, o] to [a, o, c] within each group.

    It turns one form of the kernel into the other, in both directions.
    """
    flipped = np.flip(kernel, tuple(range(kernel.ndim - 2)))
    blocks = np.split(flipped, groups, axis=-1)
    return np.concatenate([np.swapaxes(block, -1, -2) for block in blocks], axis=-1)
