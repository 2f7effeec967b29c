"""Adaptive pooling by explicit windows, and its gradients derived by hand.

Along an axis of n pixels and m outputs, W(i) = {u : floor(i n / m) <= u < ceil((i + 1) n / m)}, and
over several axes the product of these sets. x[u] is the value at pixel u, g[i] = dL/d out[i] the
cotangent, and as for any pool dL/dx[u] = sum over the i with u in W(i) of g[i] * d out[i] / d x[u].
"""

import itertools
from collections.abc import Iterator

import numpy as np

from jaxcnn.reference._taps import as_float, batch_shape, flatten_batch, restore_batch
from jaxcnn.reference._windows import Place, at
from jaxcnn.reference.pool import first_largest

OutputShape = tuple[int | None, ...]


def adaptive_avg_pool(inputs: np.ndarray, output_shape: OutputShape) -> np.ndarray:
    """Averages each window.

        out[i] = sum over u in W(i) of x[u] / |W(i)|

    Args:
      inputs: `(*batch, *spatial, channels)`.
      output_shape: windows per axis; None keeps an axis.
    Returns:
      `(*batch, *output_shape, channels)` in float64, or complex128.
    """
    x, shape, batch = _prepare(inputs, output_shape)
    out = np.zeros((len(x), *shape, x.shape[-1]), x.dtype)
    for place, pixels in _windows(x.shape[1:-1], shape):
        out[at(place)] = sum(x[at(pixel)] for pixel in pixels) / len(pixels)
    return restore_batch(out, batch)


def adaptive_avg_pool_vjp(
    cotangent: np.ndarray, inputs: np.ndarray, output_shape: OutputShape
) -> tuple[np.ndarray]:
    """Pulls the cotangent of `adaptive_avg_pool` back to the inputs.

    d out[i] / d x[u] = 1 / |W(i)| for every u in W(i), so each window spreads its cotangent evenly:

        dL/dx[u] = sum over i with u in W(i) of g[i] / |W(i)|

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `adaptive_avg_pool`.
      output_shape: as for `adaptive_avg_pool`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    x, shape, _ = _prepare(inputs, output_shape)
    g = flatten_batch(as_float(cotangent), len(shape))
    gradient = np.zeros(x.shape, np.result_type(x, g))
    for place, pixels in _windows(x.shape[1:-1], shape):
        for pixel in pixels:
            gradient[at(pixel)] += g[at(place)] / len(pixels)
    return (gradient.reshape(np.shape(inputs)),)


def adaptive_max_pool(inputs: np.ndarray, output_shape: OutputShape) -> np.ndarray:
    """Takes the largest element of each window.

        out[i] = max over u in W(i) of x[u],      NaN if one of them is NaN

    Args:
      inputs: `(*batch, *spatial, channels)`.
      output_shape: windows per axis; None keeps an axis.
    Returns:
      `(*batch, *output_shape, channels)` in float64.
    """
    return adaptive_max_pool_with_indices(inputs, output_shape)[0]


def adaptive_max_pool_vjp(
    cotangent: np.ndarray, inputs: np.ndarray, output_shape: OutputShape
) -> tuple[np.ndarray]:
    """Pulls the cotangent of `adaptive_max_pool` back to the inputs.

    With w(i) the first NaN in W(i) in row-major order, else the first u with x[u] = out[i], the
    output is x[w(i)] in a neighbourhood of x if no other element is as large, and by choice if one
    is. So d out[i] / d x[w(i)] = 1, all others are 0, and

        dL/dx[u] = sum over i with w(i) = u of g[i]

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `adaptive_max_pool`.
      output_shape: as for `adaptive_max_pool`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    _, indices = adaptive_max_pool_with_indices(inputs, output_shape)
    return (scatter_add(cotangent, indices, np.shape(inputs), len(output_shape)),)


def adaptive_max_pool_with_indices(
    inputs: np.ndarray, output_shape: OutputShape
) -> tuple[np.ndarray, np.ndarray]:
    """As `adaptive_max_pool`, and w(i) as a row-major position in the spatial plane.

    Args:
      inputs: `(*batch, *spatial, channels)`.
      output_shape: windows per axis; None keeps an axis.
    Returns:
      The outputs in float64 and the indices in int32, both `(*batch, *output_shape, channels)`.
    """
    x, shape, batch = _prepare(inputs, output_shape)
    sizes = x.shape[1:-1]
    out = np.zeros((len(x), *shape, x.shape[-1]), x.dtype)
    indices = np.zeros(out.shape, np.int32)
    for place, pixels in _windows(sizes, shape):
        values = np.stack([x[at(pixel)] for pixel in pixels])
        winner = first_largest(values)
        out[at(place)] = np.take_along_axis(values, winner[None], 0)[0]
        flat = np.array([np.ravel_multi_index(pixel, sizes) for pixel in pixels])
        indices[at(place)] = flat[winner]
    return restore_batch(out, batch), restore_batch(indices, batch)


def adaptive_max_pool_with_indices_vjp(
    cotangent: np.ndarray, inputs: np.ndarray, output_shape: OutputShape
) -> tuple[np.ndarray]:
    """Pulls the cotangent of the outputs back to the inputs; integers have no derivative.

    The same as `adaptive_max_pool_vjp`.

    Args:
      cotangent: g, of the outputs' shape.
      inputs: as for `adaptive_max_pool_with_indices`.
      output_shape: as for `adaptive_max_pool_with_indices`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    return adaptive_max_pool_vjp(cotangent, inputs, output_shape)


def scatter_add(
    cotangent: np.ndarray, indices: np.ndarray, shape: tuple[int, ...], rank: int
) -> np.ndarray:
    """Adds each g[i] to the pixel whose row-major position in the plane `indices` names."""
    g = flatten_batch(as_float(cotangent), rank)
    n, channels = len(g), g.shape[-1]
    flat = (n, int(np.prod(g.shape[1:-1])), channels)
    g, where = g.reshape(flat), indices.reshape(flat)
    gradient = np.zeros((n, int(np.prod(shape[-rank - 1 : -1])), channels))
    for image, i, c in np.ndindex(g.shape):
        gradient[image, where[image, i, c], c] += g[image, i, c]
    return gradient.reshape(shape)


def _prepare(
    inputs: np.ndarray, output_shape: OutputShape
) -> tuple[np.ndarray, tuple[int, ...], tuple[int, ...]]:
    """Returns (n, *spatial, channels), the output shape without None, and the batch axes."""
    rank = len(output_shape)
    x = flatten_batch(as_float(inputs), rank)
    shape = tuple(n if m is None else m for n, m in zip(x.shape[1:-1], output_shape, strict=True))
    return x, shape, batch_shape(inputs, rank)


def _windows(
    sizes: tuple[int, ...], output_shape: tuple[int, ...]
) -> Iterator[tuple[Place, list[Place]]]:
    """Yields each window's place in the output and the pixels in it, in row-major order."""
    for place in np.ndindex(output_shape):
        along = [
            [u for u in range(n) if i * n < (u + 1) * m and u * m < (i + 1) * n]
            for i, n, m in zip(place, sizes, output_shape, strict=True)
        ]
        yield place, list(itertools.product(*along))
