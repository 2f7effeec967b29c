"""Fractional max pooling given its samples, and its gradient derived by hand.

Along an axis of n pixels and m windows of k pixels, with alpha = (n - k) / (m - 1) and the sample u
of this axis, image and channel,

    start[i] = floor((i + u)*alpha) - floor(u*alpha) for i < m - 1,    start[m - 1] = n - k

and W(i) holds the pixels from start[i] to start[i] + k - 1, along each axis.
"""

import itertools
import math

import numpy as np

from jaxcnn.reference._taps import as_float, batch_shape, flatten_batch, restore_batch
from jaxcnn.reference.adaptive import scatter_add
from jaxcnn.reference.pool import first_largest

Shape = tuple[int, ...]


def fractional_max_pool(
    inputs: np.ndarray, window_shape: Shape, output_shape: Shape, *, samples: np.ndarray
) -> np.ndarray:
    """Takes the largest element of each window: out[i] = max over v in W(i) of x[v].

    Args:
      inputs: `(*batch, *spatial, channels)`.
      window_shape: k per axis.
      output_shape: m per axis.
      samples: u, `(*batch, channels, d)` in [0, 1).
    Returns:
      `(*batch, *output_shape, channels)` in float64.
    """
    return fractional_max_pool_with_indices(inputs, window_shape, output_shape, samples=samples)[0]


def fractional_max_pool_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    window_shape: Shape,
    output_shape: Shape,
    *,
    samples: np.ndarray,
) -> tuple[np.ndarray]:
    """Pulls the cotangent of `fractional_max_pool` back to the inputs.

    Given the samples the windows are fixed, and it is a max pool like any other: with w(i) the
    first NaN in W(i), else the first v with x[v] = out[i], d out[i] / d x[w(i)] = 1 and

        dL/dx[v] = sum over i with w(i) = v of g[i]

    Where the windows lie is constant between the jumps of floor: the samples have no gradient.

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `fractional_max_pool`.
      window_shape: as for `fractional_max_pool`.
      output_shape: as for `fractional_max_pool`.
      samples: as for `fractional_max_pool`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    _, indices = fractional_max_pool_with_indices(
        inputs, window_shape, output_shape, samples=samples
    )
    return (scatter_add(cotangent, indices, np.shape(inputs), len(window_shape)),)


def fractional_max_pool_with_indices(
    inputs: np.ndarray, window_shape: Shape, output_shape: Shape, *, samples: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """As `fractional_max_pool`, and w(i) as a row-major position in the spatial plane.

    Args:
      inputs: `(*batch, *spatial, channels)`.
      window_shape: k per axis.
      output_shape: m per axis.
      samples: u, `(*batch, channels, d)` in [0, 1).
    Returns:
      The outputs in float64 and the indices in int32, both `(*batch, *output_shape, channels)`.
    """
    rank = len(window_shape)
    x = flatten_batch(as_float(inputs), rank)
    sizes, channels = x.shape[1:-1], x.shape[-1]
    u = as_float(samples).reshape((len(x), channels, rank))
    out = np.zeros((len(x), *output_shape, channels))
    indices = np.zeros(out.shape, np.int32)
    for n, c in np.ndindex(len(x), channels):
        starts = [
            _starts(*axis) for axis in zip(sizes, window_shape, output_shape, u[n, c], strict=True)
        ]
        for place in np.ndindex(output_shape):
            along = [
                range(start[i], start[i] + k)
                for start, i, k in zip(starts, place, window_shape, strict=True)
            ]
            pixels = list(itertools.product(*along))
            values = np.array([x[(n, *pixel, c)] for pixel in pixels])
            winner = first_largest(values)
            out[(n, *place, c)] = values[winner]
            indices[(n, *place, c)] = np.ravel_multi_index(pixels[winner], sizes)
    batch = batch_shape(inputs, rank)
    return restore_batch(out, batch), restore_batch(indices, batch)


def fractional_max_pool_with_indices_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    window_shape: Shape,
    output_shape: Shape,
    *,
    samples: np.ndarray,
) -> tuple[np.ndarray]:
    """Pulls the cotangent of the outputs back to the inputs; integers have no derivative.

    The same as `fractional_max_pool_vjp`.

    Args:
      cotangent: g, of the outputs' shape.
      inputs: as for `fractional_max_pool`.
      window_shape: as for `fractional_max_pool`.
      output_shape: as for `fractional_max_pool`.
      samples: as for `fractional_max_pool`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    return fractional_max_pool_vjp(cotangent, inputs, window_shape, output_shape, samples=samples)


def _starts(size: int, k: int, count: int, u: float) -> list[int]:
    """First pixel of each window along one axis."""
    starts = []
    for i in range(count - 1):
        alpha = (size - k) / (count - 1)
        starts.append(math.floor((i + u) * alpha) - math.floor(u * alpha))
    return [*starts, size - k]
