"""What a command is at: said as it begins, shown while it lasts, and charged to an account.

    with phase("compile", "compiling"):                       a spinner, or a line in a pipe
    with phase("test", "reading canvases", total=10) as at:   a bar
        at.move(3, "canvas 3 of 10")

In a terminal one line shows it (`live.py`), which goes when it is over. In a pipe or a file each is
a line, and so is every `_EVERY` seconds of what takes longer. Phases may lie in one another: the
inner ones are said only where they last. Outside of a command, and with --quiet, nothing is said.

Imports only the standard library, as the first one begins before all other imports.
"""

import atexit
import contextlib
import math
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from experiments.commands import output, stopping
from experiments.commands.account import REST, Account, Spent, table

_EVERY = 4.0  # seconds: nothing is silent for 5, and the thread that speaks may have to wait,
_SELDOM = 60.0  # but for what has gone on for
_LONG = 600.0
_WIDE = 100  # columns, where there is no terminal
_SOON = 3.0  # seconds between two lines that a phase leaves, at least
_SHOWN = 1.0  # seconds after which a phase within another one is shown


class Phase:
    """One of them; made by `phase`.

    Attributes:
      saying: in words, such as "compiling".
      total: of what is counted; None where nothing is.
      done: so far.
      forms: what is said of that, from the longest form to the shortest.
    """

    def __init__(self, saying: str, total: float | None, done: float = 0):
        self.saying, self.total = saying, total
        self.begun, self.printed = time.monotonic(), -math.inf
        self.done = self._first = done
        self._moved = self.begun
        self.forms: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it has gone on."""
        return time.monotonic() - self.begun

    def move(self, done: float, *forms: str) -> None:
        """So much is done; `forms` say what, the longest first, and stay until there are others."""
        if done != self.done:
            self.done, self._moved = done, time.monotonic()
        self.forms = forms or self.forms

    def leave(self, *, last: bool = False) -> None:
        """In a pipe prints its line, at most one in `_SOON` seconds; the `last` one everywhere."""
        now = time.monotonic()
        if not _state.speaks:
            return
        if last or (not _state.live and now - self.printed >= _SOON):
            self.printed = now
            width = shutil.get_terminal_size().columns if _terminal() else _WIDE
            words = self.words()
            fitting = next((form for form in words if len(form) <= width), words[-1])
            _tell(fitting if last else self.line())

    @property
    def left(self) -> float | None:
        """Seconds until it is done, going on as it did; None where that cannot be told."""
        some = self.done - self._first
        if self.total is None or some <= 0 or self.done >= self.total or _state.note:
            return None
        each = (self._moved - self.begun) / some
        return max(each * (self.total - self.done) - (time.monotonic() - self._moved), 0.0)

    def words(self) -> tuple[str, ...]:
        """What is said now, from the longest form to the shortest."""
        forms = self.forms or (f"{self.saying}, {self.seconds:.0f} s", self.saying)
        if note := _state.note:
            return *(f"{form}  {note}" for form in forms), note
        return forms

    def line(self) -> str:
        """As a pipe gets it, with how much is done within what is counted."""
        part = f"  {self.done / self.total:.0%}" if self.total and self.done % 1 else ""
        behind = f", {self.seconds:.0f} s" if self.forms else ""  # else it is among the words
        if self.left is not None:
            behind = f"  {clock(self.left)} left"
        return f"{self.words()[0]}{part}{behind}"


class _State:
    """What is going on in this process."""

    def __init__(self):
        self.stack: list[Phase] = []
        self.account = Account()
        self.speaks = False  # in a command alone
        self.pipes = True  # and whether into pipes too
        self.started = False  # by `start`, before the imports
        self.live: Any = None
        self.ticker: Any = None
        self.told = -math.inf  # when a line was
        self.note = ""


_state = _State()


def start(*, quiet: bool, pipes: bool) -> None:
    """Begins the account with the process, and the phase of the imports; what a command does first.

    Args:
      quiet: whether nothing is said.
      pipes: whether what is said goes into pipes too.
    """
    _state.account, _state.started = Account("import", from_the_start=True), True
    _state.speaks, _state.pipes = not quiet, pipes
    _state.told = time.monotonic()
    _begin(Phase("importing", None), brief=True)  # what the command will do is its first line
    atexit.register(close)  # where an import fails


@contextlib.contextmanager
def command(*, pipes: bool = True) -> Iterator[None]:
    """A command is run: the imports are done, and phases are said; `pipes` as for `start`."""
    if not _state.started:
        _state.account, _state.speaks = Account(), True
    _state.started, _state.pipes = False, pipes
    _state.told = time.monotonic()  # the line of what it will do
    close()
    _state.stack.clear()
    _state.account.switch(REST)
    stopping.tell(doing="", advice="")
    try:
        yield
    finally:
        _state.speaks = False


def be_quiet() -> None:
    """From now on no phase is said, in this command."""
    _state.speaks = False


@contextlib.contextmanager
def phase(
    name: str, saying: str, *, total: float | None = None, done: float = 0, brief: bool = False
) -> Iterator[Phase]:
    """What is done in this context is said, and its time charged to `name`.

    Args:
      name: in the account, one of `account.USUAL` where one suits.
      saying: in words, such as "compiling".
      total: of what is counted, see `Phase.move`; None where nothing is.
      done: of that, before.
      brief: whether a pipe hears of it only where it lasts.
    """
    outer = _state.account.switch(name)
    this = Phase(saying, total, done)
    before = list(_state.stack)
    _begin(this, brief)
    try:
        yield this
    finally:
        _state.account.switch(outer)
        _state.stack[:] = before
        stopping.tell(doing=before[-1].saying if before else "")
        if not before:
            close()


@contextlib.contextmanager
def noting(note: str) -> Iterator[stopping.Noted]:
    """A context in which the first Ctrl-C or SIGTERM is noted, and `note` is shown from then on."""

    def told() -> None:
        _state.note = note

    try:
        with stopping.Noted(told) as noted:
            yield noted
    finally:
        _state.note = ""


def heard() -> bool:
    """Whether anything is said: not with --quiet, nor to a program that reads answers."""
    return _state.speaks and (_state.pipes or _terminal())


def spent() -> Spent:
    """What each phase took that was not told by this before."""
    return _state.account.since()


def conclude() -> None:
    """Says what the phases of this command took, where there were any."""
    whole = _state.account.spent()
    if heard() and len(whole) > 3:  # beside the imports
        for line in table(whole, shutil.get_terminal_size().columns if _terminal() else _WIDE):
            _tell(line)


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any: 0:07, 12:00, 1:02:03."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def shown() -> Phase | None:
    """The innermost phase that has lasted, or the outermost."""
    stack = [*_state.stack]
    lasting = (this for this in reversed(stack[1:]) if this.seconds > _SHOWN)
    return next(lasting, stack[0] if stack else None)


def _begin(this: Phase, brief: bool = False) -> None:
    _state.stack.append(this)
    stopping.tell(doing=this.saying)
    if len(_state.stack) > 1 or not _state.speaks:
        return
    if _terminal():
        from experiments.commands.live import Live

        _state.live = Live(shown)
        _state.live.start()
    elif _state.pipes:
        if not brief:
            _tell(this.saying)
        _state.ticker = _Ticker()
        _state.ticker.start()


def close() -> None:
    """Nothing is shown any more, and nothing written beside the main thread."""
    live, _state.live = _state.live, None
    ticker, _state.ticker = _state.ticker, None
    if live:
        live.stop()
    if ticker:
        ticker.stop()


class _Ticker(threading.Thread):
    """Prints what lasts, into a pipe."""

    def __init__(self):
        super().__init__(daemon=True)
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.25):
            this = shown()
            if this is None:
                continue
            # Since a line of any phase: several brief ones are not silent together either.
            since = time.monotonic() - _state.told
            if since >= (_EVERY if this.seconds < _LONG else _SELDOM) - 0.25:
                _tell(this.line())

    def stop(self) -> None:
        """Returns when nothing more is printed."""
        self._over.set()
        self.join(1.0)


def _terminal() -> bool:
    """Whether a line can be drawn anew, and rich is there to draw it."""
    stream = sys.stdout
    try:
        if not stream.isatty() or os.environ.get("TERM") in ("dumb", None):
            return False
        import rich  # noqa: F401
    except (ImportError, AttributeError, ValueError):
        return False
    return True


def _tell(line: str) -> None:
    _state.told = time.monotonic()
    _say(line)


def _say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # nobody reads it
        output.say(line)
