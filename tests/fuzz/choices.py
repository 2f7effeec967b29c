"""Choices among few values, from whatever source of whole numbers."""

from collections.abc import Callable, Sequence
from typing import Any


class Choices:
    """Draws what a call is made of."""

    def __init__(self, below: Callable[[int], int]):
        """`below(n)` gives a whole number from 0 to n - 1; 0 is the simplest."""
        self._below = below

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        return low + (self._below(high - low + 1) if high > low else 0)

    def one_of(self, *options: Any) -> Any:
        """One of `options`, the first of which is the simplest; one named twice is likelier."""
        return options[self.integer(0, len(options) - 1)]

    def chance(self, one_in: int) -> bool:
        """True once in `one_in` times."""
        return self.integer(0, one_in - 1) == one_in - 1

    def per_axis(self, rank: int, *options: int) -> int | tuple[int, ...]:
        """An int for all axes, or one for each."""
        if self.integer(0, 1):
            return tuple(self.one_of(*options) for _ in range(rank))
        return self.one_of(*options)

    def seed(self) -> int:
        """Of the numbers in an array."""
        return self.integer(0, 2**16 - 1)


def entries(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """An option that is one int for all axes, or one for each, as one for each."""
    return (value,) * rank if isinstance(value, int) else tuple(value)
