"""Where the windows of a convolution lie on its inputs, worked out for every reference alike."""

from typing import Any

import numpy as np

from jaxcnn import geometry
from jaxcnn.geometry import Windows
from jaxcnn.reference import _taps


def lay_windows(
    function: str,
    inputs: np.ndarray,
    kernel_size: tuple[int, ...],
    *,
    strides: Any = 1,
    padding: Any = "SAME",
    padding_mode: str = "zeros",
    input_dilation: Any = 1,
    kernel_dilation: Any = 1,
) -> tuple[np.ndarray, Windows, str]:
    """Flattens the batch and works out where the windows lie and what fills the padding.

    Returns:
      The inputs as (n, *spatial, channels) in float64, the windows, and the fill.
    """
    rank = len(kernel_size)
    x = _taps.flatten_batch(_taps.as_float(inputs), rank)
    dilation = geometry.per_axis(function, "kernel_dilation", kernel_dilation, rank)
    padding, mode = geometry.fill_and_amounts(
        function, padding, padding_mode, kernel_size, dilation
    )
    windows = geometry.windows(
        function,
        x.shape[1:-1],
        kernel_size,
        strides=strides,
        padding=padding,
        dilation=dilation,
        input_dilation=input_dilation,
        crop=True,
    )
    return x, windows, mode


def batch_shape(inputs: np.ndarray, rank: int) -> tuple[int, ...]:
    """The batch axes of `(*batch, *spatial, channels)`."""
    return np.shape(inputs)[: np.ndim(inputs) - rank - 1]


def channel_groups(in_features: int, out_features: int, count: int) -> list[tuple[slice, slice]]:
    """The input and output channels of each group."""
    a, b = in_features // count, out_features // count
    return [(slice(q * a, q * a + a), slice(q * b, q * b + b)) for q in range(count)]
