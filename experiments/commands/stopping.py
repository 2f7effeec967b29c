"""Ctrl-C and SIGTERM at any moment: one line and an exit code, never a traceback.

Python raises an exception wherever its main thread is: in a module that is half imported, inside a
call from a compiler (which ends the interpreter), in a destructor (where it is only printed). And
it raises none while one long call computes. So no exception is raised here. The main thread, or
where such a call keeps it another one, undoes what was registered, says one line and leaves the
process as it stands.

    install()       from now on; a command does it before its imports
    undoing(undo)   a context: what is to be undone, or kept, if the program is stopped in it
    Noted()         a context: the first signal is only noted, where a run can be saved

Imports only the standard library, and little of it.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GRACE = 0.3  # seconds in which the main thread can begin to end the process itself
_LONGEST = 10.0  # seconds after which it ends whatever is still being undone

_undo: list[Callable[[], Any]] = []
_ending = threading.Event()
_first, _ender = threading.Lock(), 0
_noted: "Noted | None" = None
_handled = 0  # signals that the main thread has heard of
_told: dict[str, Any] = {"doing": "", "advice": ""}


def install() -> None:
    """Has both signals end this process by `end`, also while its main thread cannot listen."""
    if os.name != "posix":  # Python's own way there
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    atexit.register(_hurry)
    threading.Thread(target=_watch, args=(reading,), daemon=True).start()
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # which whoever started it wants
            signal.signal(number, _handle)
            atexit.register(signal.signal, number, signal.SIG_IGN)  # it is done


def leave_with(code: int) -> None:
    """The process has done its work: it ends with `code`, without taking itself apart.

    That would take seconds, in which signals cannot be answered. What is to be done at exit is.
    """
    _told["code"] = code


def tell(**words: str) -> None:
    """What the line says: `doing`, in words such as "compiling", and `advice`, how to go on."""
    _told.update(words)


@contextlib.contextmanager
def undoing(undo: Callable[[], Any]) -> Iterator[None]:
    """Has `undo` called if the program is stopped meanwhile; what was registered last comes first.

    It runs between any two instructions of the main thread, or beside it.
    """
    _undo.append(undo)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # it is being done
            _undo.remove(undo)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that goes at the end of the context, or where the program is stopped in it."""
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory(prefix="jaxcnn-", ignore_cleanup_errors=True) as folder:
        with undoing(lambda: shutil.rmtree(folder, ignore_errors=True)):
            yield Path(folder)


class Noted:
    """A context in which the first Ctrl-C or SIGTERM is only noted; a second one ends the program.

    Attributes:
      signal: its number; None as long as there was none.

    >>> with Noted() as noted:
    ...     print(noted.signal)
    None
    """

    def __init__(self, told: Callable[[], Any] = lambda: None):
        """`told` is called as soon as a signal is noted, perhaps twice and by another thread."""
        self.signal: int | None = None
        self._told, self._before = told, {}
        self._here = self.seen = False

    def __enter__(self) -> "Noted":
        global _noted
        _noted = self
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception) -> None:
        global _noted
        _noted = None
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def code(self) -> int:
        """Exit code of a program that was stopped and saved: 130 after Ctrl-C, else 0."""
        return 128 + signal.SIGINT if self.signal == signal.SIGINT else 0

    def note(self, number: int) -> None:
        """What both threads do."""
        self.signal = self.signal or number
        self._told()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        _hear()
        if self._here:
            end(number)
        self._here = True
        self.note(number)


def end(number: int) -> None:
    """Undoes, says the line and leaves the process, with 128 and the number of the signal."""
    global _ender
    if not _first.acquire(blocking=False):
        if _ender == threading.get_ident():  # once more, meanwhile: at once
            _leave(number)
        if threading.current_thread() is threading.main_thread():  # the other one is at it
            time.sleep(2 * _LONGEST)
        return
    _ender = threading.get_ident()
    _ending.set()
    with contextlib.suppress(BaseException):
        late = threading.Timer(_LONGEST, _leave, (number,))
        late.daemon = True
        late.start()
    while _undo:
        with contextlib.suppress(BaseException):
            _undo.pop()()
    _leave(number)


def say(line: str) -> None:
    """Writes a line to standard error, past all that could be in the middle of writing there."""
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode(errors="replace"))


def _leave(number: int) -> None:
    doing, advice = _told.pop("doing", None), _told.pop("advice", None)
    if doing is not None:  # not said yet
        say(f"stopped{doing and f' while {doing}'}{advice and f'; {advice}'}")
    os._exit(128 + number)


def _hurry() -> None:
    """The last of all that is done at exit."""
    if "code" in _told:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(_told["code"])


def _handle(number: int, frame: FrameType | None) -> None:
    _hear()
    end(number)


def _hear() -> None:
    global _handled
    _handled += 1


def _watch(reading: int) -> None:
    """Reads the numbers of signals as they arrive, whatever the main thread is at."""
    arrived = 0
    while True:
        number = os.read(reading, 1)[0]
        if number not in SIGNALS:
            continue
        arrived += 1
        noted = _noted
        if noted and not noted.seen:
            noted.seen = True
            noted.note(number)
        elif not _ending.wait(_GRACE) and arrived > _handled:  # else the main thread has it
            end(number)
