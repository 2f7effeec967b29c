"""Stopping between two epochs instead of in the middle of one."""

import signal
from types import FrameType


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

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
