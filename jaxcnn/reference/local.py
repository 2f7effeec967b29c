"""Unshared convolution by explicit sums, and its gradient derived by hand."""

import itertools

import numpy as np

from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.reference import _taps


@named
def conv_local(
    inputs: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    padding_mode: str = "zeros",
    input_dilation: IntPerAxis = 1,
    kernel_dilation: IntPerAxis = 1,
) -> np.ndarray:
    """Cross-correlates `inputs` with a kernel of its own at every place, one place after the other.

        out[i, o] = bias[o] + sum over a, c of x[i*s + a*d, c] * kernel[i, a, c, o]

    i and a run over as many axes as there are spatial ones, and x is the input after dilation and
    padding.

    Args:
      inputs: `(*batch, *spatial, in_features)`.
      kernel: `(*out, *kernel_size, in_features, out_features)`.
      bias: `(out_features,)` or `(*out, out_features)`.
      strides: s, pixels between windows.
      padding: any form that `jaxcnn.functional.conv` takes.
      padding_mode: "zeros", "reflect", "replicate" or "circular".
      input_dilation: pixels between neighbouring input pixels.
      kernel_dilation: d, pixels between neighbouring taps.
    Returns:
      `(*batch, *out, out_features)` in float64, or complex128 for complex arguments.
    """
    kernel = _taps.as_float(kernel)
    x, windows, mode = _taps.lay_windows(
        inputs,
        kernel.shape[kernel.ndim // 2 - 1 : -2],
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        input_dilation=input_dilation,
        kernel_dilation=kernel_dilation,
    )
    padded = _taps.dilate_and_pad(x, windows, mode)
    shape = (len(x), *windows.output_shape, kernel.shape[-1])
    out = np.zeros(shape, np.result_type(x, kernel))
    for place, window in _places(windows):
        pixels = padded[window]
        every = tuple(range(1, pixels.ndim))
        out[:, *place] = np.tensordot(pixels, kernel[place], axes=(every, range(len(every))))
    if bias is not None:
        out = out + _taps.as_float(bias)
    return _taps.restore_batch(out, _taps.batch_shape(inputs, windows.rank))


@named
def conv_local_vjp(
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
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Pulls the cotangent g of `conv_local` back to its arguments.

    Inputs. x[u, c] enters out[i, o] through the tap a with i*s + a*d = u:

        dL/dx[u, c] = sum over i, a, o with i*s + a*d = u of g[i, o] * kernel[i, a, c, o]

    the sum of a shared kernel, but no convolution any more: the kernel changes with i.

    Kernel. kernel[i, a, c, o] is used once in each image, in window i:

        dL/dkernel[i, a, c, o] = sum over n of x[n, i*s + a*d, c] * g[n, i, o]

    Sharing the kernel means adding these gradients up over i; that sum is `conv_vjp`'s.

    Bias. dL/dbias[o] = sum over n, i of g[n, i, o]; one of each place: dL/dbias[i, o] = sum over n
    of g[n, i, o].

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `conv_local`, like all that follow.
      kernel: `(*out, *kernel_size, in_features, out_features)`.
      bias: `(out_features,)` or `(*out, out_features)`.
      strides: s, pixels between windows.
      padding: any form that `jaxcnn.functional.conv` takes.
      padding_mode: "zeros", "reflect", "replicate" or "circular".
      input_dilation: pixels between neighbouring input pixels.
      kernel_dilation: d, pixels between neighbouring taps.
    Returns:
      The gradients of inputs, kernel and bias (None without one).
    """
    kernel = _taps.as_float(kernel)
    x, windows, mode = _taps.lay_windows(
        inputs,
        kernel.shape[kernel.ndim // 2 - 1 : -2],
        strides=strides,
        padding=padding,
        padding_mode=padding_mode,
        input_dilation=input_dilation,
        kernel_dilation=kernel_dilation,
    )
    g = _taps.flatten_batch(_taps.as_float(cotangent), windows.rank)
    padded = _taps.dilate_and_pad(x, windows, mode)
    dtype = np.result_type(x, kernel, g)
    d_padded, d_kernel = np.zeros(padded.shape, dtype), np.zeros(kernel.shape, dtype)
    for place, window in _places(windows):
        g_here = g[:, *place]
        d_padded[window] += np.tensordot(g_here, kernel[place], axes=(1, -1))
        d_kernel[place] = np.tensordot(padded[window], g_here, axes=(0, 0))
    d_inputs = _taps.dilate_and_pad_vjp(d_padded, windows, mode).reshape(np.shape(inputs))
    if bias is None:
        return d_inputs, d_kernel, None
    d_bias = g.sum(axis=0 if np.ndim(bias) > 1 else tuple(range(g.ndim - 1)))
    return d_inputs, d_kernel, d_bias


def _places(windows: Windows):
    """Yields each place with the slices that select its window from (n, *padded, channels)."""
    for place in itertools.product(*map(range, windows.output_shape)):
        window = tuple(
            slice(i * s, i * s + d * (k - 1) + 1, d)
            for i, s, d, k in zip(
                place, windows.strides, windows.dilation, windows.window_shape, strict=True
            )
        )
        yield place, (slice(None), *window)
