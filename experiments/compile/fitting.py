"""The largest batch that fits into a device, found without compiling for it."""

from collections.abc import Callable


def largest_batch(
    needs: Callable[[int], float | None], batch: int, least: int, allowed: float
) -> tuple[int, tuple[int, int]] | None:
    """The largest batch that fits, by a straight line through what two batches need.

    Args:
      needs: bytes a device for a batch; None where the compiler refuses it and does not say.
      batch: the larger of the two; halved until it is not refused.
      least: what a batch is a multiple of.
      allowed: bytes of a device.
    Returns:
      It, 0 if none fits, and the two batches; None where no line can be drawn.
    """
    below, above = pair(batch, least)
    while needs(above) is None:
        if below == least:
            return None
        below, above = pair(below, least)
    low, high = needs(below), needs(above)
    if low is None or high is None or high <= low:
        return None
    an_image = (high - low) / (above - below)
    most = above + (allowed - high) / an_image
    return max(int(most // least) * least, 0), (below, above)


def pair(batch: int, least: int) -> tuple[int, int]:
    """Two batches to draw a line through: one of half the size, and the batch."""
    above = max(batch // least, 2) * least
    return above // 2 // least * least, above
