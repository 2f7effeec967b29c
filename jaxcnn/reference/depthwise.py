"""Depthwise and separable convolution by explicit sums, and their gradients derived by hand."""

import numpy as np

from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.reference import _taps


@named
def depthwise_conv(
    inputs: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    padding_mode: str = "zeros",
    input_dilation: IntPerAxis = 1,
    kernel_dilation: IntPerAxis = 1,
    flip_kernel: bool = False,
) -> np.ndarray:
    """Cross-correlates every channel with its own kernels, one tap after the other.

        out[i, c*m + q] = bias[c*m + q] + sum over a of x[i*s + a*d, c] * kernel[a, c, q]

    i and a run over as many axes as there are spatial ones, and x is the input after dilation and
    padding.

    Args:
      inputs: `(*batch, *spatial, in_features)`.
      kernel: `(*kernel_size, in_features, multiplier)`, m the multiplier.
      bias: `(in_features * multiplier,)`.
      strides: s, pixels between windows.
      padding: any form that `jaxcnn.functional.conv` takes.
      padding_mode: "zeros", "reflect", "replicate" or "circular".
      input_dilation: pixels between neighbouring input pixels.
      kernel_dilation: d, pixels between neighbouring taps.
      flip_kernel: reverses the kernel along its spatial axes.
    Returns:
      `(*batch, *out, in_features * multiplier)` in float64, or complex128 for complex arguments.
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
    out = np.zeros((len(x), *windows.output_shape, *kernel.shape[-2:]), np.result_type(x, kernel))
    for tap, where in _taps.taps(windows):
        out += padded[where][..., None] * kernel[tap]
    out = out.reshape((*out.shape[:-2], kernel.shape[-2] * kernel.shape[-1]))
    if bias is not None:
        out = out + _taps.as_float(bias)
    return _taps.restore_batch(out, _taps.batch_shape(inputs, windows.rank))


@named
def depthwise_conv_vjp(
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
    flip_kernel: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Pulls the cotangent g of `depthwise_conv` back to its arguments.

    Write g[i, c, q] for g[i, c*m + q]. The derivation is that of `conv_vjp` with the sum over
    channels gone: channel c meets its own m outputs alone.

    Inputs. x[u, c] enters out[i, c, q] through the tap a with i*s + a*d = u:

        dL/dx[u, c] = sum over i, a, q with i*s + a*d = u of g[i, c, q] * kernel[a, c, q]

    Kernel. kernel[a, c, q] multiplies x[i*s + a*d, c] in every window i:

        dL/dkernel[a, c, q] = sum over n, i of x[n, i*s + a*d, c] * g[n, i, c, q]

    Bias. It is added to every pixel: dL/dbias[o] = sum over n, i of g[n, i, o].

    Padding and input dilation copy pixels, so their transposes add what arrived at the copies and
    drop what arrived at zeros. A flipped kernel has its gradient flipped.

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `depthwise_conv`, like all that follow.
      kernel: `(*kernel_size, in_features, multiplier)`.
      bias: `(in_features * multiplier,)`.
      strides: s, pixels between windows.
      padding: any form that `jaxcnn.functional.conv` takes.
      padding_mode: "zeros", "reflect", "replicate" or "circular".
      input_dilation: pixels between neighbouring input pixels.
      kernel_dilation: d, pixels between neighbouring taps.
      flip_kernel: reverses the kernel along its spatial axes.
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
    every = tuple(range(g.ndim - 1))
    d_bias = None if bias is None else g.sum(axis=every)
    g = g.reshape((*g.shape[:-1], *kernel.shape[-2:]))
    padded = _taps.dilate_and_pad(x, windows, mode)
    dtype = np.result_type(x, kernel, g)
    d_padded, d_kernel = np.zeros(padded.shape, dtype), np.zeros(kernel.shape, dtype)
    for tap, where in _taps.taps(windows):
        d_padded[where] += (g * kernel[tap]).sum(axis=-1)
        d_kernel[tap] += (padded[where][..., None] * g).sum(axis=every)
    d_inputs = _taps.dilate_and_pad_vjp(d_padded, windows, mode).reshape(np.shape(inputs))
    if flip_kernel:
        d_kernel = np.flip(d_kernel, axes)
    return d_inputs, d_kernel, d_bias


@named
def separable_conv(
    inputs: np.ndarray,
    depthwise_kernel: np.ndarray,
    pointwise_kernel: np.ndarray,
    bias: np.ndarray | None = None,
    **options,
) -> np.ndarray:
    """Convolves every channel by itself, then mixes the channels pixel by pixel.

        out[i, o] = bias[o] + sum over r of y[i, r] * pointwise_kernel[0, r, o],
        y = depthwise_conv(inputs, depthwise_kernel)

    Args:
      inputs: `(*batch, *spatial, in_features)`.
      depthwise_kernel: `(*kernel_size, in_features, multiplier)`.
      pointwise_kernel: `(*ones, in_features * multiplier, out_features)`.
      bias: `(out_features,)`.
      **options: those of `depthwise_conv`.
    Returns:
      `(*batch, *out, out_features)` in float64, or complex128 for complex arguments.
    """
    y = depthwise_conv(inputs, depthwise_kernel, **options)
    mix = _taps.as_float(pointwise_kernel)
    out = y @ mix.reshape(mix.shape[-2:])
    return out if bias is None else out + _taps.as_float(bias)


@named
def separable_conv_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    depthwise_kernel: np.ndarray,
    pointwise_kernel: np.ndarray,
    bias: np.ndarray | None = None,
    **options,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Pulls the cotangent g of `separable_conv` back to its arguments, by the chain rule.

        h[i, r] = dL/dy[i, r]              = sum over o of g[i, o] * pointwise_kernel[0, r, o]
        dL/dpointwise_kernel[0, r, o]      = sum over n, i of y[n, i, r] * g[n, i, o]
        dL/dbias[o]                        = sum over n, i of g[n, i, o]

    and inputs and depthwise kernel get what `depthwise_conv_vjp` makes of the cotangent h.

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `separable_conv`, like all that follow.
      depthwise_kernel: `(*kernel_size, in_features, multiplier)`.
      pointwise_kernel: `(*ones, in_features * multiplier, out_features)`.
      bias: `(out_features,)`.
      **options: those of `depthwise_conv`.
    Returns:
      The gradients of inputs, depthwise kernel, pointwise kernel and bias (None without one).
    """
    y = depthwise_conv(inputs, depthwise_kernel, **options)
    g = _taps.as_float(cotangent)
    mix = _taps.as_float(pointwise_kernel)
    h = g @ mix.reshape(mix.shape[-2:]).T
    every = tuple(range(g.ndim - 1))
    d_pointwise = np.tensordot(y, g, axes=(every, every)).reshape(mix.shape)
    d_bias = None if bias is None else g.sum(axis=every)
    d_inputs, d_depthwise, _ = depthwise_conv_vjp(h, inputs, depthwise_kernel, **options)
    return d_inputs, d_depthwise, d_pointwise, d_bias
