"""Windows taken apart into stages: some axes at a time, from the last to the first."""

import math
from collections.abc import Sequence
from typing import TypeVar

from jaxcnn.geometry import Windows

T = TypeVar("T")


def stages(windows: Windows, most: int) -> list[Windows]:
    """The windows along as many axes at a time as make at most `most` taps, one axis at least.

    Each stage is over what the one before it leaves, with one tap along all other axes.
    """
    groups: list[list[int]] = [[]]
    for axis in reversed(range(windows.rank)):
        taps = math.prod(windows.window_shape[other] for other in groups[-1])
        if groups[-1] and taps * windows.window_shape[axis] > most:
            groups.append([])
        groups[-1].append(axis)
    found, sizes = [], windows.sizes
    for group in groups:

        def along(own: Sequence[T], other: Sequence[T], group: list[int] = group) -> tuple[T, ...]:
            pairs = enumerate(zip(own, other, strict=True))
            return tuple(mine if axis in group else rest for axis, (mine, rest) in pairs)

        ones = (1,) * windows.rank
        part = Windows(
            sizes=sizes,
            window_shape=along(windows.window_shape, ones),
            strides=along(windows.strides, ones),
            padding=along(windows.padding, ((0, 0),) * windows.rank),
            dilation=along(windows.dilation, ones),
            input_dilation=along(windows.input_dilation, ones),
            output_shape=along(windows.output_shape, sizes),
        )
        found.append(part)
        sizes = part.output_shape
    return found
