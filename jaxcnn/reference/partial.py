"""Partial convolution by explicit sums, and its gradient derived by hand."""

from typing import Any

import numpy as np

from jaxcnn._checks.naming import named
from jaxcnn.reference import _taps
from jaxcnn.reference.conv import conv, conv_vjp


@named
def partial_conv(
    inputs: np.ndarray,
    kernel: np.ndarray,
    mask: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    feature_group_count: int = 1,
    flip_kernel: bool = False,
    **geometry,
) -> tuple[np.ndarray, np.ndarray]:
    """Cross-correlates the valid pixels alone and scales the sums up for the missing ones.

        out[i, o] = bias[o] + r[i, o] * sum over a, c of (m x)[i*s + a*d, c] * kernel[a, c, o]
        r[i, o]   = taps / sum over a, c of m[i*s + a*d, c]

    where that last sum v[i, o] is above 0, else out[i, o] = 0. m is 1 where `mask` is not 0 and 0
    in zero padding; in (m x) a missing pixel is 0 whatever it holds. With a mask of one channel
    there is no sum over c in v, and taps = prod(k).

    Args:
      inputs: `(*batch, *spatial, in_features)`.
      kernel: `(*kernel_size, in_features / feature_group_count, out_features)`.
      mask: `(*batch, *spatial, 1)` or `(*batch, *spatial, in_features)`, or without batch axes.
      bias: `(out_features,)`.
      feature_group_count: number of groups of channels.
      flip_kernel: reverses the kernel along its spatial axes.
      **geometry: `strides`, `padding`, `padding_mode`, `input_dilation`, `kernel_dilation`, as for
        `conv`.
    Returns:
      The outputs in float64, or complex128 for complex arguments, and the new mask in `mask`'s
      dtype.
    """
    x, ratio, valid = _prepare(inputs, kernel, mask, feature_group_count, geometry)
    options: dict[str, Any] = {"feature_group_count": feature_group_count, **geometry}
    options["flip_kernel"] = flip_kernel
    outputs = conv(x, kernel, **options) * ratio
    if bias is not None:
        outputs = outputs + _taps.as_float(bias)
    return np.where(valid, outputs, 0), valid.astype(np.asarray(mask).dtype)


@named
def partial_conv_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    kernel: np.ndarray,
    mask: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    feature_group_count: int = 1,
    flip_kernel: bool = False,
    **geometry,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Pulls the cotangent g of the outputs of `partial_conv` back to its arguments.

    Given the mask, out[i, o] = valid[i, o] * (bias[o] + r[i, o] * conv(m x, kernel)[i, o]): the
    scale r is a number for each output that depends on the mask alone. With

        h[i, o] = valid[i, o] * r[i, o] * g[i, o]

    the chain rule gives what `conv_vjp` makes of the cotangent h, with m x for the inputs:

        dL/dx[u, c]         = m[u, c] * sum over i, a, o with i*s + a*d = u
                              of h[i, o] * kernel[a, c, o]
        dL/dkernel[a, c, o] = sum over n, i of (m x)[n, i*s + a*d, c] * h[n, i, o]
        dL/dbias[o]         = sum over n, i of valid[n, i, o] * g[n, i, o]
        dL/dmask            = 0

    since m jumps from 0 to 1 and is constant in between. The new mask is constant likewise, so that
    no cotangent of it is needed.

    Args:
      cotangent: g, of the shape of the outputs.
      inputs: as for `partial_conv`, like all that follow.
      kernel: `(*kernel_size, in_features / feature_group_count, out_features)`.
      mask: `(*batch, *spatial, 1)` or `(*batch, *spatial, in_features)`, or without batch axes.
      bias: `(out_features,)`.
      feature_group_count: number of groups of channels.
      flip_kernel: reverses the kernel along its spatial axes.
      **geometry: as for `partial_conv`.
    Returns:
      The gradients of inputs, kernel, mask (zeros) and bias (None without one).
    """
    x, ratio, valid = _prepare(inputs, kernel, mask, feature_group_count, geometry)
    options: dict[str, Any] = {"feature_group_count": feature_group_count, **geometry}
    options["flip_kernel"] = flip_kernel
    g = np.where(valid, _taps.as_float(cotangent), 0)
    d_x, d_kernel, _ = conv_vjp(g * ratio, x, kernel, **options)
    d_inputs = np.where(np.asarray(mask) != 0, d_x, 0)
    d_bias = None if bias is None else g.sum(axis=tuple(range(g.ndim - 1)))
    return d_inputs, d_kernel, np.zeros(np.shape(mask)), d_bias


def _prepare(
    inputs: np.ndarray, kernel: np.ndarray, mask: np.ndarray, groups: int, geometry: dict
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The valid pixels, the scale r of each output, and where it has a valid tap at all."""
    kernel_size = np.shape(kernel)[:-2]
    rank, features = len(kernel_size), np.shape(kernel)[-1]
    m = np.asarray(mask) != 0
    x = np.where(m, _taps.as_float(inputs), 0)
    flat, windows, mode = _taps.lay_windows(m, kernel_size, **geometry)
    padded = _taps.dilate_and_pad(flat, windows, mode)
    count = sum(padded[where] for _, where in _taps.taps(windows))
    count = _taps.restore_batch(np.asarray(count), _taps.batch_shape(m, rank))
    taps = np.prod(kernel_size)
    if m.shape[-1] > 1:
        per_group = m.shape[-1] // groups
        taps = taps * per_group
        count = count.reshape((*count.shape[:-1], groups, per_group)).sum(axis=-1)
        count = np.repeat(count, features // groups, axis=-1)
    return x, taps / np.maximum(count, 1), count > 0
