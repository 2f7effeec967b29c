"""How long there is, and an order in which every kind has its turn."""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

GRACE = 20.0  # seconds beyond the end, after which something hangs
HANGS = 4  # exit code

T = TypeVar("T")


class Budget:
    """A span of time that began when this was made.

    Attributes:
      seconds: of the span.
    """

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left, 0 at the least."""
        return max(self._end - time.monotonic(), 0.0)

    def part(self, share: float) -> "Budget":
        """A share of the whole from now on, no longer than the whole."""
        return Budget(min(share * self.seconds, self.left))


def end_at(budget: Budget, keep: Callable[[], Any]) -> threading.Timer:
    """Keeps what there is and ends the program if it has not ended some seconds after its time.

    Args:
      budget: of the whole program.
      keep: writes what is known.
    Returns:
      To be cancelled when the program ends by itself.
    """

    def end() -> None:
        try:
            keep()
        finally:
            os._exit(HANGS)

    timer = threading.Timer(budget.left + GRACE, end)
    timer.daemon = True
    timer.start()
    return timer


def by_turns(items: Iterable[T], kind: Callable[[T], Any]) -> list[T]:
    """The first of each kind, then the second of each, and so on."""
    groups: dict[Any, list[T]] = {}
    for item in items:
        groups.setdefault(kind(item), []).append(item)
    rounds = itertools.zip_longest(*groups.values())
    return [item for turn in rounds for item in turn if item is not None]
