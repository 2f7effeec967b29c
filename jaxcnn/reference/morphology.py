"""Grey-scale dilation and erosion window by window, and their gradients derived by hand."""

from collections.abc import Iterator

import numpy as np

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.reference import _taps

Index = tuple[int, ...]


@named
def grey_dilation(
    inputs: np.ndarray,
    kernel: np.ndarray,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    kernel_dilation: IntPerAxis = 1,
) -> np.ndarray:
    """Takes in each window the largest sum of pixel and kernel.

        out[i, c] = max over a of x[i*s + a*d - p_lo, c] + kernel[a, c]

    over those taps a that meet the image; i and a run over as many axes as there are spatial ones.

    Args:
      inputs: x, `(*batch, *spatial, channels)`.
      kernel: the structuring element, `(*kernel_size, channels)`.
      strides: s, pixels between windows.
      padding: any form that `jaxcnn.functional.grey_dilation` takes.
      kernel_dilation: d, pixels between neighbouring taps.
    Returns:
      `(*batch, *out, channels)` in float64. NaN in a window gives NaN.
    """
    x, kernel, windows = _prepare(inputs, kernel, strides, padding, kernel_dilation)
    out = np.zeros((len(x), *windows.output_shape, x.shape[-1]))
    for window, seen in _windows_and_taps(windows):
        sums = np.stack([x[(slice(None), *pixel)] + kernel[tap] for tap, pixel in seen])
        out[(slice(None), *window)] = sums.max(axis=0)
    return _taps.restore_batch(out, _taps.batch_shape(inputs, windows.rank))


@named
def grey_dilation_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    kernel: np.ndarray,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    kernel_dilation: IntPerAxis = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Pulls the cotangent g of `grey_dilation` back to its arguments.

    Let a*(i, c) be the winning tap of window i, the first in row-major order of those with the
    largest sum, or the first of those with NaN. While it stays the winner,

        out[i, c] = x[i*s + a*(i, c)*d - p_lo, c] + kernel[a*(i, c), c],

    a sum of one pixel and one entry of the kernel, each with the factor 1. Hence

        dL/dx[u, c] = sum over i with i*s + a*(i, c)*d - p_lo = u of g[i, c]
        dL/dkernel[a, c] = sum over n, i with a*(n, i, c) = a of g[n, i, c]

    Each g[i, c] is given away once, whole, to each argument, so that both gradients sum to sum(g).
    At a tie the function has a kink, and this is one of its subgradients.

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `grey_dilation`.
      kernel: as for `grey_dilation`.
      strides: as for `grey_dilation`.
      padding: as for `grey_dilation`.
      kernel_dilation: as for `grey_dilation`.
    Returns:
      The gradients of inputs and kernel.
    """
    x, kernel, windows = _prepare(inputs, kernel, strides, padding, kernel_dilation)
    g = _taps.flatten_batch(_taps.as_float(cotangent), windows.rank)
    d_inputs, d_kernel = np.zeros(x.shape), np.zeros(kernel.shape)
    for window, seen in _windows_and_taps(windows):
        sums = np.stack([x[(slice(None), *pixel)] + kernel[tap] for tap, pixel in seen])
        winner = sums.argmax(axis=0)  # NumPy's takes the first maximum, and the first NaN before it
        for position, (tap, pixel) in enumerate(seen):
            share = np.where(winner == position, g[(slice(None), *window)], 0.0)
            d_inputs[(slice(None), *pixel)] += share
            d_kernel[tap] += share.sum(axis=0)
    return d_inputs.reshape(np.shape(inputs)), d_kernel


@named
def grey_erosion(
    inputs: np.ndarray,
    kernel: np.ndarray,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    kernel_dilation: IntPerAxis = 1,
) -> np.ndarray:
    """Takes in each window the smallest difference of pixel and reflected kernel.

        out[i, c] = min over a of x[i*s + a*d - p_lo, c] - kernel[k - 1 - a, c]

    over those taps a that meet the image. Since min(v) = -max(-v), it is minus the dilation of -x
    by the reflected kernel, and is computed so.

    Args:
      inputs: x, `(*batch, *spatial, channels)`.
      kernel: the structuring element, `(*kernel_size, channels)`.
      strides: s, pixels between windows.
      padding: any form that `jaxcnn.functional.grey_dilation` takes.
      kernel_dilation: d, pixels between neighbouring taps.
    Returns:
      `(*batch, *out, channels)` in float64. NaN in a window gives NaN.
    """
    return -grey_dilation(
        -_taps.as_float(inputs),
        _reflected(kernel),
        strides=strides,
        padding=padding,
        kernel_dilation=kernel_dilation,
    )


@named
def grey_erosion_vjp(
    cotangent: np.ndarray,
    inputs: np.ndarray,
    kernel: np.ndarray,
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "SAME",
    kernel_dilation: IntPerAxis = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Pulls the cotangent g of `grey_erosion` back to its arguments.

    With out = -D(-x, R kernel), D the dilation and R the reflection, the chain rule gives

        dL/dx = (-1) * (-1) * dD/dx pulled back from g         both signs cancel
        dL/dkernel = -R (dD/dkernel pulled back from g)        R is its own transpose

    or, with a*(i, c) the first tap in row-major order with the smallest difference,

        dL/dx[u, c] = sum over i with i*s + a*(i, c)*d - p_lo = u of g[i, c]
        dL/dkernel[k - 1 - a, c] = -sum over n, i with a*(n, i, c) = a of g[n, i, c]

    Args:
      cotangent: g, of the output's shape.
      inputs: as for `grey_erosion`.
      kernel: as for `grey_erosion`.
      strides: as for `grey_erosion`.
      padding: as for `grey_erosion`.
      kernel_dilation: as for `grey_erosion`.
    Returns:
      The gradients of inputs and kernel.
    """
    d_inputs, d_kernel = grey_dilation_vjp(
        cotangent,
        -_taps.as_float(inputs),
        _reflected(kernel),
        strides=strides,
        padding=padding,
        kernel_dilation=kernel_dilation,
    )
    return d_inputs, -_reflected(d_kernel)


def _prepare(
    inputs, kernel, strides, padding, kernel_dilation
) -> tuple[np.ndarray, np.ndarray, Windows]:
    """Flattens the batch and works out where the windows lie."""
    x, kernel = _taps.as_float(inputs), _taps.as_float(kernel)
    rank = kernel.ndim - 1
    x = _taps.flatten_batch(x, rank)
    windows = geometry.windows(
        x.shape[1:-1],
        kernel.shape[:-1],
        strides=strides,
        padding=padding,
        dilation=kernel_dilation,
    )
    return x, kernel, windows


def _windows_and_taps(windows: Windows) -> Iterator[tuple[Index, list[tuple[Index, Index]]]]:
    """Yields each window with its taps on the image, row-major: (tap, pixel) pairs."""
    for window in np.ndindex(*windows.output_shape):
        seen = []
        for tap in np.ndindex(*windows.window_shape):
            pixel = tuple(
                i * s + a * d - low
                for i, s, a, d, (low, _) in zip(
                    window, windows.strides, tap, windows.dilation, windows.padding, strict=True
                )
            )
            if all(0 <= u < n for u, n in zip(pixel, windows.sizes, strict=True)):
                seen.append((tap, pixel))
        yield window, seen


def _reflected(kernel: np.ndarray) -> np.ndarray:
    """The kernel with every spatial axis reversed."""
    kernel = _taps.as_float(kernel)
    return np.flip(kernel, tuple(range(kernel.ndim - 1)))
