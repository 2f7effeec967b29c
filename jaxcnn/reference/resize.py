"""Upsampling followed by a convolution, as matrices along each axis, and its gradient by hand."""

import numpy as np

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis
from jaxcnn.reference import _taps
from jaxcnn.reference.conv import conv, conv_vjp


@named
def resize_conv(
    inputs: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    scale: IntPerAxis = 2,
    resized_shape: IntPerAxis | None = None,
    method: str = "nearest",
    **options,
) -> np.ndarray:
    """Upsamples `inputs` along each spatial axis and convolves the result.

        z[i, c] = sum over p of R[i, p] * x[p, c],      out = conv(z, kernel, bias)

    Args:
      inputs: `(*batch, *spatial, in_features)`.
      kernel: `(*kernel_size, in_features / feature_group_count, out_features)`.
      bias: `(out_features,)`.
      scale: resized pixels per input pixel.
      resized_shape: the resized sizes, in place of `scale`.
      method: "nearest" or "linear".
      **options: those of `conv`, but strides and input_dilation.
    Returns:
      `(*batch, *out, out_features)` in float64, or complex128 for complex arguments.
    """
    z = _taps.as_float(inputs)
    for axis, weights in _matrices(inputs, kernel, scale, resized_shape, method):
        z = _times(weights, z, axis)
    return conv(z, kernel, bias, **options)


@named
def resize_conv_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    scale: IntPerAxis = 2,
    resized_shape: IntPerAxis | None = None,
    method: str = "nearest",
    **options,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Pulls the cotangent of `resize_conv` back to its arguments.

    `conv_vjp` at z gives dL/dz, dL/dkernel and dL/dbias. x[p, c] enters z[i, c] with the weight
    R[i, p], so that along each axis

        dL/dx[p, c] = sum over i of R[i, p] * dL/dz[i, c]:

    for "nearest" the sum over all copies of a pixel.

    Args:
      cotangent: of the output's shape.
      inputs: as for `resize_conv`.
      kernel: as for `resize_conv`.
      bias: as for `resize_conv`.
      scale: as for `resize_conv`.
      resized_shape: as for `resize_conv`.
      method: as for `resize_conv`.
      **options: as for `resize_conv`.
    Returns:
      The gradients of inputs, kernel and bias (None without one), pulled back without conjugation.
    """
    matrices = _matrices(inputs, kernel, scale, resized_shape, method)
    z = _taps.as_float(inputs)
    for axis, weights in matrices:
        z = _times(weights, z, axis)
    d_x, d_kernel, d_bias = conv_vjp(cotangent, z, kernel, bias, **options)
    for axis, weights in matrices:
        d_x = _times(weights.T, d_x, axis)
    return d_x, d_kernel, d_bias


def _times(weights: np.ndarray, values: np.ndarray, axis: int) -> np.ndarray:
    """The matrix times `values` along an axis; a weight of 0 does not touch what it meets."""
    columns = np.moveaxis(values, axis, 0)
    products = np.zeros((len(weights), *columns.shape), columns.dtype)
    for row, weight in zip(products, weights, strict=True):
        row[weight != 0] = np.einsum("p,p...->p...", weight, columns)[weight != 0]
    return np.moveaxis(products.sum(1), 0, axis)


def _matrices(inputs, kernel, scale, resized_shape, method) -> list[tuple[int, np.ndarray]]:
    """The axis and the matrix R[i, p] of each upsampling."""
    first = np.ndim(inputs) - 1 - (np.ndim(kernel) - 2)
    sizes = np.shape(inputs)[first:-1]
    resized = geometry.resized_sizes(sizes, scale, resized_shape)
    return [
        (axis, _weights(n, m, method))
        for axis, (n, m) in enumerate(zip(sizes, resized, strict=True), start=first)
    ]


def _weights(n: int, m: int, method: str) -> np.ndarray:
    """R of one axis: output pixel i has its centre at u = (i + 1/2)*n/m - 1/2.

    nearest  R[i, p] = 1 where floor(u + 1/2) = p, else 0
    linear   R[i, p] = max(0, 1 - |u - p|), u kept within the centres of the first and last pixel
    """
    p, i = np.arange(n), np.arange(m)[:, None]
    if method == "nearest":
        return ((2 * i + 1) * n // (2 * m) == p).astype(np.float64)
    u = np.clip((i + 0.5) * n / m - 0.5, 0, n - 1)
    return np.maximum(0, 1 - np.abs(u - p))
