"""Convolution by explicit sums, and its gradient derived by hand."""

import numpy as np

from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.reference import _taps


@named
def conv(
    inputs: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    padding_mode: str = "zeros",
    input_dilation: IntPerAxis = 1,
    kernel_dilation: IntPerAxis = 1,
    feature_group_count: int = 1,
    flip_kernel: bool = False,
) -> np.ndarray:
    """Cross-correlates `inputs` with `kernel`, one tap after the other.

        out[i, o] = bias[o] + sum over a, c of x[i*s + a*d, c] * kernel[a, c, o]

    i and a run over as many axes as there are spatial ones, and x is the input after dilation and
    padding. With groups, c runs over the channels of o's group alone.

    Args:
      inputs: `(*batch, *spatial, in_features)`.
      kernel: `(*kernel_size, in_features / feature_group_count, out_features)`.
      bias: `(out_features,)`.
      strides: s, pixels between windows.
      padding: any form that `jaxcnn.functional.conv` takes.
      padding_mode: "zeros", "reflect", "replicate" or "circular".
      input_dilation: pixels between neighbouring input pixels.
      kernel_dilation: d, pixels between neighbouring taps.
      feature_group_count: number of groups of channels.
      flip_kernel: reverses the kernel along its spatial axes.
    Returns:
      `(*batch, *out, out_features)` in float64, or complex128 for complex arguments.
    """
    kernel = _taps.as_float(kernel)
    x, windows, mode = _taps.lay_windows(
        inputs,
        kernel.shape[:-2],
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        input_dilation=input_dilation,
        kernel_dilation=kernel_dilation,
    )
    if flip_kernel:
        kernel = np.flip(kernel, tuple(range(windows.rank)))
    padded = _taps.dilate_and_pad(x, windows, mode)
    dtype = np.result_type(x, kernel)
    out = np.zeros((len(x), *windows.output_shape, kernel.shape[-1]), dtype)
    for group_in, group_out in _taps.channel_groups(
        x.shape[-1], kernel.shape[-1], feature_group_count
    ):
        for tap, where in _taps.taps(windows):
            pixels = padded[where][..., group_in]
            out[..., group_out] += pixels @ kernel[tap][:, group_out]
    if bias is not None:
        out = out + _taps.as_float(bias)
    return _taps.restore_batch(out, _taps.batch_shape(inputs, windows.rank))


@named
def conv_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    padding_mode: str = "zeros",
    input_dilation: IntPerAxis = 1,
    kernel_dilation: IntPerAxis = 1,
    feature_group_count: int = 1,
    flip_kernel: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Pulls the cotangent g of `conv` back to its arguments.

    Let L be a scalar with g[i, o] = dL/d out[i, o]. The forward sum is linear in each argument, so
    each gradient is g times whatever stands beside the argument in that sum.

    Inputs. x[u, c] enters out[i, o] through the tap a with i*s + a*d = u:

        dL/dx[u, c] = sum over i, a, o with i*s + a*d = u of g[i, o] * kernel[a, c, o]

    With s = 1 that is i = u - a*d. Put a' = k - 1 - a and lay e - 1 = d*(k - 1) zeros around g:

        dL/dx[u, c] = sum over a', o of g_padded[u + a'*d, o] * kernel[k - 1 - a', c, o],

    the correlation of g with the flipped kernel, its channels exchanged, under "FULL" padding. With
    s > 1 only those u - a*d count that s divides: put s - 1 zeros between the pixels of g, and the
    same sum runs over the dilated cotangent. (Strides of the forward pass become input dilation of
    the backward pass, and the pixels past the last window get zeros.)

    Kernel. kernel[a, c, o] multiplies x[i*s + a*d, c] in every window i:

        dL/dkernel[a, c, o] = sum over n, i of x[n, i*s + a*d, c] * g[n, i, o],

    a correlation of x with g as the kernel. The output index is now a, which moves by d, and the
    summed index is i, which moves by s: stride and kernel dilation have exchanged their roles, and
    so have batch and channel axes.

    Bias. It is added to every pixel: dL/dbias[o] = sum over n, i of g[n, i, o].

    Padding and input dilation copy pixels, so their transposes add what arrived at the copies and
    drop what arrived at zeros. A flipped kernel has its gradient flipped.

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `conv`.
      kernel: as for `conv`.
      bias: as for `conv`.
      strides: as for `conv`.
      padding: as for `conv`.
      padding_mode: as for `conv`.
      input_dilation: as for `conv`.
      kernel_dilation: as for `conv`.
      feature_group_count: as for `conv`.
      flip_kernel: as for `conv`.
    Returns:
      The gradients of inputs, kernel and bias (None without one). Complex arguments are pulled back
      by the transpose, without conjugation, as JAX does.
    """
    kernel = _taps.as_float(kernel)
    x, windows, mode = _taps.lay_windows(
        inputs,
        kernel.shape[:-2],
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        input_dilation=input_dilation,
        kernel_dilation=kernel_dilation,
    )
    axes = tuple(range(windows.rank))
    if flip_kernel:
        kernel = np.flip(kernel, axes)
    g = _taps.flatten_batch(_taps.as_float(cotangent), windows.rank)
    padded = _taps.dilate_and_pad(x, windows, mode)
    dtype = np.result_type(x, kernel, g)
    every = tuple(range(g.ndim - 1))
    d_padded, d_kernel = np.zeros(padded.shape, dtype), np.zeros(kernel.shape, dtype)
    for group_in, group_out in _taps.channel_groups(
        x.shape[-1], kernel.shape[-1], feature_group_count
    ):
        for tap, where in _taps.taps(windows):
            g_group = g[..., group_out]
            d_padded[where][..., group_in] += g_group @ kernel[tap][:, group_out].T
            pixels = padded[where][..., group_in]
            d_kernel[tap][:, group_out] += np.tensordot(pixels, g_group, axes=(every, every))
    d_inputs = _taps.dilate_and_pad_vjp(d_padded, windows, mode).reshape(np.shape(inputs))
    if flip_kernel:
        d_kernel = np.flip(d_kernel, axes)
    d_bias = None if bias is None else g.sum(axis=every)
    return d_inputs, d_kernel, d_bias
