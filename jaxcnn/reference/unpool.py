"""Max pooling with indices and its undoing, and their gradients derived by hand."""

import numpy as np

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.reference import _taps
from jaxcnn.reference._windows import at, pixels_by_window, read, windowed
from jaxcnn.reference.pool import first_largest


@named
def max_pool_with_indices(
    inputs: np.ndarray,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Takes the largest element of each window and its place.

        out[i] = x[w(i)],      indices[i] = the row-major position of w(i) in the spatial axes

    with w(i) the first NaN of the window, else its first maximum in row-major order.

    Args:
      inputs: `(*batch, *spatial, channels)`.
      window_shape: as for `max_pool`.
      strides: as for `max_pool`.
      padding: as for `max_pool`.
      padding_mode: as for `max_pool`, but not "zeros".
      window_dilation: as for `max_pool`.
      ceil_mode: as for `max_pool`.
    Returns:
      `(*batch, *out, channels)` in float64, and int32 of the same shape.
    """
    x, windows, mode, batch = windowed(
        inputs,
        window_shape,
        strides,
        padding,
        padding_mode,
        window_dilation,
        ceil_mode,
    )
    if mode == "identity":
        geometry.refuse_window_in_padding(windows)
    out = np.zeros((len(x), *windows.output_shape, x.shape[-1]))
    indices = np.zeros(out.shape, np.int32)
    for place, pixels in pixels_by_window(windows, mode):
        values = read(x, pixels)
        first = first_largest(values)
        out[at(place)] = np.take_along_axis(values, first[None], 0)[0]
        flat = np.asarray(np.ravel_multi_index(tuple(np.array(pixels).T), windows.sizes))
        indices[at(place)] = flat[first]
    return _taps.restore_batch(out, batch), _taps.restore_batch(indices, batch)


@named
def max_pool_with_indices_vjp(
    cotangent: np.ndarray, inputs: np.ndarray, window_shape: tuple[int, ...], *args, **options
) -> tuple[np.ndarray]:
    """Pulls the cotangent of the maxima back to the inputs; the indices have none.

    out[i] = x[w(i)] with w(i) constant in a neighbourhood of x, so that every cotangent goes to the
    pixel that the index names:

        dL/dx[u] = sum over i with indices[i] = u of g[i]

    Args:
      cotangent: g, of the maxima's shape.
      inputs: as for `max_pool_with_indices`.
      window_shape: as for `max_pool_with_indices`.
      *args: as for `max_pool_with_indices`.
      **options: as for `max_pool_with_indices`.
    Returns:
      The gradient of the inputs, in a tuple.
    """
    _, indices = max_pool_with_indices(inputs, window_shape, *args, **options)
    rank = len(window_shape)
    x = _taps.flatten_batch(_taps.as_float(inputs), rank)
    g, place = (_planes(_taps.flatten_batch(np.asarray(a), rank)) for a in (cotangent, indices))
    gradient = np.zeros((len(x), int(np.prod(x.shape[1:-1])), x.shape[-1]))
    for n, i, c in np.ndindex(g.shape):
        gradient[n, place[n, i, c], c] += g[n, i, c]
    return (gradient.reshape(np.shape(inputs)),)


@named
def max_unpool(
    inputs: np.ndarray,
    indices: np.ndarray,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    window_dilation: IntPerAxis = 1,
    output_shape: tuple[int, ...] | None = None,
) -> np.ndarray:
    """Puts each value at its index, one after the other, so that a later one replaces an earlier.

        out[u] = x[i] with the last i in row-major order that has indices[i] = u, 0 where none has

    Args:
      inputs: `(*batch, *out, channels)`.
      indices: integers of the same shape.
      window_shape: of the pool that is undone.
      strides: of that pool.
      padding: of that pool.
      window_dilation: of that pool.
      output_shape: spatial sizes of the result, None for the smallest.
    Returns:
      `(*batch, *spatial, channels)` in float64.
    """
    x, place, spatial, batch = _unpool_arguments(
        inputs, indices, window_shape, strides, padding, window_dilation, output_shape
    )
    out = np.zeros((len(x), int(np.prod(spatial)), x.shape[-1]), x.dtype)
    for n, i, c in np.ndindex(x.shape):
        out[n, place[n, i, c], c] = x[n, i, c]
    return out.reshape((*batch, *spatial, x.shape[-1]))


@named
def max_unpool_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    indices: np.ndarray,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    window_dilation: IntPerAxis = 1,
    output_shape: tuple[int, ...] | None = None,
) -> tuple[np.ndarray, None]:
    """Pulls the cotangent of `max_unpool` back to the values; the indices have no gradient.

    out is linear in x. x[i] stands in out at indices[i] if no later j has the same index, and
    nowhere otherwise:

        dL/dx[i] = g[indices[i]]  if i is the last with this index, else 0

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `max_unpool`.
      indices: as for `max_unpool`.
      window_shape: as for `max_unpool`.
      strides: as for `max_unpool`.
      padding: as for `max_unpool`.
      window_dilation: as for `max_unpool`.
      output_shape: as for `max_unpool`.
    Returns:
      The gradient of the inputs, and None for the indices.
    """
    x, place, spatial, _ = _unpool_arguments(
        inputs, indices, window_shape, strides, padding, window_dilation, output_shape
    )
    g = _taps.as_float(cotangent).reshape((len(x), int(np.prod(spatial)), x.shape[-1]))
    last = np.full(g.shape, -1)
    for n, i, c in np.ndindex(x.shape):
        last[n, place[n, i, c], c] = i
    gradient = np.zeros_like(x)
    for n, i, c in np.ndindex(x.shape):
        if last[n, place[n, i, c], c] == i:
            gradient[n, i, c] = g[n, place[n, i, c], c]
    return gradient.reshape(np.shape(inputs)), None


def _unpool_arguments(
    inputs, indices, window_shape, strides, padding, window_dilation, output_shape
):
    """Values and indices as (n, places, channels), the spatial sizes of the result, the batch."""
    rank = len(window_shape)
    x = _taps.flatten_batch(_taps.as_float(inputs), rank)
    spatial = geometry.unpooled_windows(
        x.shape[1:-1],
        window_shape,
        strides=1 if strides is None else strides,
        padding=padding,
        dilation=window_dilation,
        output_shape=output_shape,
    ).sizes
    place = _planes(_taps.flatten_batch(np.asarray(indices), rank))
    return _planes(x), place, spatial, _taps.batch_shape(inputs, rank)


def _planes(array: np.ndarray) -> np.ndarray:
    """Gathers the spatial axes of (n, *spatial, channels) into one."""
    return array.reshape((len(array), int(np.prod(array.shape[1:-1])), array.shape[-1]))
