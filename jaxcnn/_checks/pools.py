"""Checks that every pool shares: where its windows lie, and what stands in its padding."""

from jaxcnn import geometry
from jaxcnn._checks import arrays, options
from jaxcnn.geometry import IntPerAxis, Padding, Windows
from jaxcnn.lowering.problem import Typed

PADDING_MODES = ("identity", *geometry.PADDING_MODES)


def windows(
    inputs: Typed,
    window_shape: tuple[int, ...],
    *,
    strides: IntPerAxis | None,
    padding: Padding,
    window_dilation: IntPerAxis = 1,
    padding_mode: str = "identity",
    ceil_mode: bool = False,
    neutral: str = "identity",
) -> tuple[int, Windows, str | None]:
    """Works out where the windows of a pool lie.

    Args:
      inputs: `(*batch, *spatial, channels)`.
      window_shape: taps of a window, a tuple.
      strides: pixels between windows; None means 1.
      padding: any form of the contract.
      window_dilation: pixels between neighbouring taps.
      padding_mode: what stands in the padding.
      ceil_mode: whether a last window may hang over the end.
      neutral: a second name of "identity": "zeros" where the pool is a sum.
    Returns:
      How many batch axes there are; the windows; the pixels that the padding is filled with, None
      for the neutral element of the reducer.
    """
    window_shape = geometry.axes_tuple("window_shape", window_shape)
    rank = len(window_shape)
    batch, sizes, _ = arrays.spatial_batch(
        inputs, rank, because=f"`window_shape` {window_shape} has {rank} entries"
    )
    where = geometry.windows(
        sizes,
        window_shape,
        strides=1 if strides is None else strides,
        padding=padding,
        dilation=window_dilation,
        ceil_mode=options.flag("ceil_mode", ceil_mode),
    )
    options.choice("padding_mode", padding_mode, PADDING_MODES)
    return len(batch), where, arrays.fill(where, padding_mode, "identity", neutral)
