"""How many windows fit along an axis, and how large an axis becomes."""

import operator
from collections.abc import Sequence

from jaxcnn.geometry.integers import per_axis
from jaxcnn.geometry.unknown import are_known, larger, smaller, surely_below


def effective_size(size: int, dilation: int) -> int:
    """Pixels from the first tap to the last of a window of `size` taps: d*(k - 1) + 1."""
    return dilation * (size - 1) + 1


def dilated_size(size: int, dilation: int) -> int:
    """Size of an axis with `dilation - 1` zeros between neighbours."""
    return 0 if size == 0 else effective_size(size, dilation)


def output_size(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """Number of windows along one axis: floor((n + p_lo + p_hi - d*(k - 1) - 1) / s) + 1.

    With `ceil_mode` the division rounds up, so that a last window may hang over the end; one that
    would start beyond the input and its low padding is dropped, as in PyTorch.

    Returns:
      The size, 0 or below where not one window fits.

    >>> output_size(7, 3, stride=2)
    3
    >>> (
    ...     output_size(6, 3, stride=2, padding=(1, 1)),
    ...     output_size(6, 3, stride=2, padding=(1, 1), ceil_mode=True),
    ... )
    (3, 4)
    """
    room = size + sum(padding) - effective_size(kernel_size, dilation)
    if not ceil_mode:
        return larger(room // stride + 1, 0)
    count = -(-room // stride) + 1
    starting_inside = -(-(size + padding[0]) // stride)
    return larger(smaller(count, larger(starting_inside, count - 1)), 0)


def adaptive_windows(size: int, count: int) -> tuple[tuple[int, int], ...]:
    """(start, end) of `count` windows that cover an axis: floor(i n / m) to ceil((i + 1) n / m).

    Neighbours share a pixel where n is no multiple of m; with m > n some windows are equal.

    >>> adaptive_windows(7, 3)
    ((0, 3), (2, 5), (4, 7))
    >>> adaptive_windows(2, 5)
    ((0, 1), (0, 1), (0, 2), (1, 2), (1, 2))
    """
    return tuple((i * size // count, -(-(i + 1) * size // count)) for i in range(count))


def fractional_starts(size: int, kernel_size: int, count: int) -> tuple[int, ...]:
    """The earliest starts of `count` randomly spaced windows: floor(i*alpha), the last n - k.

    With alpha = (n - k) / (count - 1) and u in [0, 1), window i starts at floor((i + u)*alpha) -
    floor(u*alpha), which is floor(i*alpha) or one more; the last window starts at n - k.

    >>> fractional_starts(9, 2, 5)
    (0, 1, 3, 5, 7)
    """
    room = size - kernel_size
    return (*(i * room // (count - 1) for i in range(count - 1)), room)


def resized_sizes(sizes: Sequence[int], scale: object, resized_shape: object) -> tuple[int, ...]:
    """Returns the sizes of an upsampled plane: `resized_shape`, or `scale` times the sizes.

    Raises:
      ValueError: an entry is out of range, or smaller than the axis that it resizes.
      TypeError: an entry is no int.
    """
    sizes = tuple(sizes)
    refuse_empty_axis(sizes)
    if resized_shape is None:
        rates = per_axis("scale", scale, len(sizes))
        return tuple(map(operator.mul, sizes, rates))
    resized = per_axis("resized_shape", resized_shape, len(sizes))
    for axis, (size, target) in enumerate(zip(sizes, resized, strict=True)):
        if not are_known(size) and target % size != 0:
            raise ValueError(
                f"`inputs` must have spatial sizes that are known when it is traced, "
                f"or that divide those of `resized_shape` (={resized_shape!r}); received spatial "
                f"sizes {sizes}; give `scale` instead"
            )
        if surely_below(target, size):
            raise ValueError(
                f"`resized_shape` (={resized_shape!r}) must be no smaller than the "
                f"inputs, got {target} for {size} along spatial axis {axis}; received spatial "
                f"sizes {sizes}; pool to make them smaller"
            )
    return resized


def refuse_empty_axis(sizes: tuple[int, ...]) -> None:
    """Raises ValueError where a spatial axis has no pixel."""
    for axis, size in enumerate(sizes):
        if surely_below(size, 1):
            raise ValueError(
                f"`inputs` must have no empty spatial axis; received spatial sizes "
                f"{sizes}, axis {axis} is empty (only batch axes may be)"
            )
