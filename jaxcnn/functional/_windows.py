"""What every pool does with its arguments before it computes: one flat batch and its windows."""

from jaxtyping import Array

from jaxcnn import geometry
from jaxcnn.functional import _arguments
from jaxcnn.geometry import IntPerAxis, Padding, Windows

PADDING_MODES = ("identity", *geometry.PADDING_MODES)


def windowed(
    function: str,
    inputs: Array,
    window_shape: tuple[int, ...],
    *,
    strides: IntPerAxis | None,
    padding: Padding,
    window_dilation: IntPerAxis,
    padding_mode: str = "identity",
    ceil_mode: bool = False,
    neutral: str = "identity",
) -> tuple[Array, Windows, tuple[int, ...]]:
    """Gathers the batch axes into one and works out where the windows lie.

    Padding with pixels (any mode but "identity") is done here, and the windows returned lie on the
    padded input. What is left for the caller to fill is the reducer's neutral element.

    Args:
      function: the caller's name, for messages.
      inputs: `(*batch, *spatial, channels)`, an array already.
      window_shape: taps of a window, a tuple.
      strides: pixels between windows; None means 1.
      padding: any form of the contract.
      window_dilation: pixels between neighbouring taps.
      padding_mode: what stands in the padding.
      ceil_mode: whether a last window may hang over the end.
      neutral: a second name of "identity": "zeros" where the pool is a sum.
    Returns:
      `(n, *spatial, channels)`, its windows, and the batch axes.
    """
    window_shape = geometry.axes_tuple(function, "window_shape", window_shape)
    rank = len(window_shape)
    batch, sizes, _ = _arguments.spatial_batch(
        function, inputs, rank, because=f"`window_shape` {window_shape} has {rank} entries"
    )
    windows = geometry.windows(
        function,
        sizes,
        window_shape,
        strides=1 if strides is None else strides,
        padding=padding,
        dilation=window_dilation,
        ceil_mode=_arguments.flag(function, "ceil_mode", ceil_mode),
    )
    _arguments.choice(function, "padding_mode", padding_mode, PADDING_MODES)
    flat = _arguments.flatten_batch(inputs, rank)
    if padding_mode not in ("identity", neutral):
        flat = _arguments.pad_spatial(function, flat, windows.padding, padding_mode)
        windows = windows.padded()
    return flat, windows, batch
