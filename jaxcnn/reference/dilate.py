"""Zeros between pixels, and its gradient derived by hand."""

import numpy as np

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn.reference import _taps


@named
def dilate(inputs: np.ndarray, rate: tuple[int, ...]) -> np.ndarray:
    """Puts `rate` - 1 zeros between neighbouring pixels: out[i*r] = inputs[i], 0 elsewhere.

    Args:
      inputs: `(*batch, *spatial, channels)`.
      rate: r, one int per spatial axis.
    Returns:
      `(*batch, *dilated, channels)` in float64 or complex128, dilated = r*(n - 1) + 1.
    """
    x = _taps.as_float(inputs)
    where = _pixels(x.ndim, rate)
    shape = list(x.shape)
    for axis, r in enumerate(rate, start=x.ndim - 1 - len(rate)):
        shape[axis] = geometry.dilated_size(shape[axis], r)
    out = np.zeros(shape, x.dtype)
    out[where] = x
    return out


@named
def dilate_vjp(
    cotangent: np.ndarray, inputs: np.ndarray, rate: tuple[int, ...]
) -> tuple[np.ndarray]:
    """Pulls the cotangent g of `dilate` back to its argument.

    inputs[i] enters out[i*r] alone, with the factor 1, and the zeros depend on nothing:

        dL/dinputs[i] = g[i*r]

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `dilate`.
      rate: as for `dilate`.
    Returns:
      The gradient of the inputs.
    """
    g = _taps.as_float(cotangent)
    return (g[_pixels(g.ndim, rate)].reshape(np.shape(inputs)),)


def _pixels(ndim: int, rate: tuple[int, ...]) -> tuple:
    """Where the pixels lie among the zeros, as an index."""
    batch = (slice(None),) * (ndim - 1 - len(rate))
    return (*batch, *(slice(None, None, r) for r in rate), slice(None))
