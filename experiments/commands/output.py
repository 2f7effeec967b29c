"""Standard output and error that outlast their readers: what cannot be written is dropped.

A reader may go away (`... | head -1`, a terminal that hangs up), a disk may be full, a descriptor
may be closed from the start. None of that ends a program whose work is worth more than its lines.
"""

import contextlib
import errno
import io
import os
import select
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator

_NAMES = ("stdout", "stderr")


def say(line: str) -> None:
    """Prints a line, which a terminal that is narrower shows broken between words."""
    if sys.stdout.isatty():
        columns = shutil.get_terminal_size().columns
        line = textwrap.fill(line, columns, break_long_words=False, break_on_hyphens=False)
    print(line, flush=True)


class _Lasting(io.FileIO):
    """A descriptor to write to, which keeps why something could not be written at first.

    Whoever reads a pipe or watches a terminal and goes away has seen enough: that is no reason.
    """

    lost = ""

    def __init__(self, descriptor: int):
        super().__init__(descriptor, "w", closefd=False)
        gone = (errno.EPIPE, errno.ECONNRESET)
        self._gone = (*gone, errno.EIO) if self.isatty() else gone

    def write(self, data) -> int:
        while True:
            try:
                written = super().write(data)
            except OSError as error:
                if error.errno not in self._gone:
                    self.lost = self.lost or os.strerror(error.errno)
                return memoryview(data).nbytes
            if written is not None:
                return written
            select.select([], [self], [])  # a pipe that was told not to wait for its reader


@contextlib.contextmanager
def lasting() -> Iterator[Callable[[], str]]:
    """Has the program's own output last, but where somebody catches it, or it lasts already.

    Gives a function: why standard output lacks something so far; empty where it is whole, or where
    its reader went away.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file would get the number, and what others print with it
            os.open(os.devnull, os.O_RDWR)
    before = {name: getattr(sys, name) for name in _NAMES}
    own = {name: stream for name, stream in before.items() if stream is getattr(sys, f"__{name}__")}
    descriptors, nowhere = {}, open(os.devnull, "w")
    for name, stream in own.items():
        if stream is None:
            setattr(sys, name, nowhere)
            continue
        with contextlib.suppress(OSError):
            stream.flush()
        raw = descriptors[name] = _Lasting(stream.fileno())
        at_once = isinstance(stream.buffer, io.RawIOBase)  # python -u
        stand_in = io.TextIOWrapper(
            raw if at_once else io.BufferedWriter(raw),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=True,  # whoever reads along sees a line when it is printed
            write_through=stream.write_through,
        )
        setattr(sys, name, stand_in)

    def lost() -> str:
        if "stdout" not in descriptors:
            return ""
        sys.stdout.flush()
        return descriptors["stdout"].lost

    try:
        yield lost
    finally:
        for name, stream in own.items():
            getattr(sys, name).flush()
            setattr(sys, name, stream)
        nowhere.close()
