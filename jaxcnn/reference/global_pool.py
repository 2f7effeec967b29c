"""Average and maximum of a whole image, and their gradients derived by hand.

u runs over all P pixels of the image in row-major order, x[u] is the value there and g = dL/d out
the cotangent, for every channel of every image by itself.
"""

import numpy as np

from jaxcnn.reference._taps import as_float
from jaxcnn.reference.pool import first_largest

Axes = int | tuple[int, ...] | None


def global_avg_pool(
    inputs: np.ndarray, *, spatial_axes: Axes = None, keepdims: bool = False
) -> np.ndarray:
    """Averages all pixels: out = sum over u of x[u] / P.

    Args:
      inputs: `(batch, *spatial, channels)`.
      spatial_axes: the axes to average over; None for all between the first and the last.
      keepdims: keeps these axes, with size 1.
    Returns:
      `(batch, channels)` in float64, or complex128.
    """
    pixels, axes = _pixels(inputs, spatial_axes)
    out = pixels.sum(0) / len(pixels)
    return np.expand_dims(out, axes) if keepdims else out


def global_avg_pool_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    *,
    spatial_axes: Axes = None,
    keepdims: bool = False,
) -> tuple[np.ndarray]:
    """Pulls the cotangent of `global_avg_pool` back: dL/dx[u] = g / P for every pixel u.

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `global_avg_pool`.
      spatial_axes: as for `global_avg_pool`.
      keepdims: as for `global_avg_pool`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    pixels, axes = _pixels(inputs, spatial_axes)
    g = as_float(cotangent)
    g = g if keepdims else np.expand_dims(g, axes)
    return (np.broadcast_to(g / len(pixels), np.shape(inputs)).copy(),)


def global_max_pool(
    inputs: np.ndarray, *, spatial_axes: Axes = None, keepdims: bool = False
) -> np.ndarray:
    """Takes the largest pixel, out = max over u of x[u]; NaN if one of them is NaN.

    Args:
      inputs: `(batch, *spatial, channels)`.
      spatial_axes: the axes to reduce; None for all between the first and the last.
      keepdims: keeps these axes, with size 1.
    Returns:
      `(batch, channels)` in float64.
    """
    pixels, axes = _pixels(inputs, spatial_axes)
    out = np.take_along_axis(pixels, first_largest(pixels)[None], 0)[0]
    return np.expand_dims(out, axes) if keepdims else out


def global_max_pool_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    *,
    spatial_axes: Axes = None,
    keepdims: bool = False,
) -> tuple[np.ndarray]:
    """Pulls the cotangent of `global_max_pool` back to the inputs.

    With w the first NaN, else the first u with x[u] = out, d out / d x[w] = 1 and all others are 0:

        dL/dx[u] = g if u = w, else 0

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `global_max_pool`.
      spatial_axes: as for `global_max_pool`.
      keepdims: as for `global_max_pool`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    pixels, axes = _pixels(inputs, spatial_axes)
    g = as_float(cotangent)
    g = np.squeeze(g, axes) if keepdims else g
    gradient = np.zeros(pixels.shape)
    np.put_along_axis(gradient, first_largest(pixels)[None], g[None], 0)
    sizes = [np.shape(inputs)[axis] for axis in axes]
    gradient = gradient.reshape((*sizes, *gradient.shape[1:]))
    return (np.moveaxis(gradient, range(len(axes)), axes),)


def _pixels(inputs: np.ndarray, spatial_axes: Axes) -> tuple[np.ndarray, tuple[int, ...]]:
    """Lays the pixels to reduce along one first axis; also returns the axes they came from."""
    x = as_float(inputs)
    named = range(1, x.ndim - 1) if spatial_axes is None else np.atleast_1d(spatial_axes)
    axes = tuple(sorted(int(axis) % x.ndim for axis in named))
    x = np.moveaxis(x, axes, range(len(axes)))
    count = int(np.prod(x.shape[: len(axes)]))
    return x.reshape((count, *x.shape[len(axes) :])), axes
