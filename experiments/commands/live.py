"""The one line of a terminal that shows what a command is at."""

import contextlib
import os
from collections.abc import Callable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from experiments.commands import stopping
from experiments.commands.phases import Phase, clock

_A_SECOND = 8  # drawn so often
_BAR, _WIDEST_BAR = 8, 40  # columns
_CLEAR = "\r\x1b[2K\x1b[?25h"  # the line, and shows the cursor


class Live:
    """Drawn by a thread until `stop`; what is printed meanwhile goes above it."""

    def __init__(self, shown: Callable[[], Phase | None], console: Console | None = None):
        """Shows whatever `shown` gives when it is drawn."""
        self._console = console or Console()
        self._live = RichLive(
            Line(shown, self._console), console=self._console, refresh_per_second=_A_SECOND,
            transient=True, redirect_stderr=os.isatty(2),
        )  # fmt: skip
        self._stopping: Any = None

    def start(self) -> None:
        """Draws it."""
        self._stopping = stopping.undoing(self._erase)
        self._stopping.__enter__()
        self._live.start(refresh=True)

    def stop(self) -> None:
        """Takes it away."""
        self._live.stop()
        self._stopping.__exit__(None, None, None)

    def _erase(self) -> None:
        """Whatever the main thread was at."""
        with contextlib.suppress(Exception):
            self._live.stop()
        os.write(1, _CLEAR.encode())


class Line:
    """A spinner, what is said, a bar where there is room, and the time that is left."""

    def __init__(self, shown: Callable[[], Phase | None], console: Console):
        self._shown = shown
        ascii_only = not (console.encoding or "").lower().startswith("utf")
        self._spinner = Spinner("line" if ascii_only else "dots")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        this = self._shown()
        if this is None:
            return
        left = f"{clock(this.left)} left" if this.left is not None else ""
        # Beside the spinner, and the ^C that a terminal may write behind it: a line that this made
        # longer than the terminal is wide could not be taken back.
        room = options.max_width - 6 - (len(left) + 2 if left else 0)
        words = this.words()
        with_bar = (form for form in words if this.total and len(form) + 2 + _BAR <= room)
        without = (form for form in words if len(form) <= room)
        fitting = next(with_bar, None) or next(without, words[-1][:room])
        cells: list[Any] = [self._spinner.render(console.get_time())]
        cells.append(Text(fitting, no_wrap=True, overflow="crop"))
        room -= len(fitting) + 2
        if this.total and room >= _BAR:
            width = min(room, _WIDEST_BAR)
            cells.append(ProgressBar(total=this.total, completed=this.done, width=width))
        if left:
            cells.append(Text(left, no_wrap=True))
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=1)
        for _ in cells[1:]:
            grid.add_column(no_wrap=True, overflow="crop")
        grid.add_row(*cells)
        yield grid
