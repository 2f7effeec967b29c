"""Stopping where a run can go on from, instead of anywhere."""

import signal
from types import FrameType

import jax
import numpy as np
from jax.experimental import multihost_utils


class Interruption:
    """While open, the first Ctrl-C or SIGTERM is only noted; a second one ends the program at once.

    >>> with Interruption() as interruption:
    ...     print(interruption.signal)
    None
    """

    def __init__(self):
        self.signal: int | None = None
        self._before = {}

    def __enter__(self) -> "Interruption":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def code(self) -> int:
        """Exit code of a run that was stopped and saved: 130 after Ctrl-C, else 0."""
        return 128 + signal.SIGINT if self.signal == signal.SIGINT else 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)


def agreed(*wishes: bool) -> tuple[bool, ...]:
    """What any process wishes: all must do it, and at the same step."""
    if jax.process_count() == 1:
        return wishes
    gathered = multihost_utils.process_allgather(np.array(wishes))
    return tuple(map(bool, gathered.any(axis=0)))
