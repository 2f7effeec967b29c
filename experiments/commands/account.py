"""What each part of a command took, by the clock and of the CPU, from the process's start on.

Imports only the standard library.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

# The order in which they are told; others come behind them.
USUAL = ("import", "data", "build", "compile", "training", "test", "saving", "pictures")
REST, ALL = "rest", "all"

Spent = dict[str, tuple[float, float]]
"""By name, seconds by the clock and of the CPU."""


class Account:
    """Charges all time to one name after another; what has none is `REST`."""

    def __init__(self, name: str = REST, *, from_the_start: bool = False):
        """Begins with `name`, now or when the process did."""
        clock, cpu = _now()
        if from_the_start:
            own = time.process_time()
            # A shell that had children before it became this process: they are not of it.
            age = _age() if cpu - own < 0.01 else own
            clock, cpu = clock - age, cpu - own
        self._mark = (clock, cpu)
        self._name = name
        self._spent: dict[str, list[float]] = {}
        self._told: Spent = {}

    def switch(self, name: str) -> str:
        """What passes from now on is for `name`; returns the name before."""
        now, before = _now(), self._name
        spent = self._spent.setdefault(before, [0.0, 0.0])
        for number in range(2):
            spent[number] += now[number] - self._mark[number]
        self._mark, self._name = now, name
        return before

    def spent(self) -> Spent:
        """So far, with the sum of all."""
        self.switch(self._name)
        order = {name: place for place, name in enumerate(USUAL)}
        names = sorted(self._spent, key=lambda name: order.get(name, 98 + (name == REST)))
        spent: Spent = {name: (self._spent[name][0], self._spent[name][1]) for name in names}
        clock, cpu = (sum(both[number] for both in spent.values()) for number in range(2))
        return {**spent, ALL: (clock, cpu)}

    def since(self) -> Spent:
        """What was spent since this was last asked for."""
        now, before = self.spent(), self._told
        self._told = now
        new = {
            name: (clock - before.get(name, (0, 0))[0], cpu - before.get(name, (0, 0))[1])
            for name, (clock, cpu) in now.items()
        }
        return {name: both for name, both in new.items() if any(both)}


def table(spent: Spent, width: int) -> list[str]:
    """The lines that tell of it, none wider than `width` if that can be."""
    columns = [
        [name, *(f"{seconds:.1f}" for seconds in both)]
        for name, both in spent.items()
        if max(both) >= 0.05 or name == ALL
    ]
    columns = [[f"{cell:>{max(map(len, column))}}" for cell in column] for column in columns]
    heads, lines = ["s", "clock", "CPU"], []
    first, wide = max(map(len, heads)), sum(len(column[0]) + 2 for column in columns)
    gap = " " if first + wide > width else "  "
    while columns:
        room, here = width - first, []
        while columns and (not here or room >= len(gap) + len(columns[0][0])):
            here.append(columns.pop(0))
            room -= len(gap) + len(here[-1][0])
        for row, head in enumerate(heads):
            lines.append(gap.join([f"{head:{first}}", *(column[row] for column in here)]))
    return lines


def record(spent: Spent) -> Mapping[str, Mapping[str, float]]:
    """As a JSON file has it."""
    return {
        kind: {name: round(both[number], 3) for name, both in spent.items()}
        for number, kind in enumerate(("clock", "cpu"))
    }


def _now() -> tuple[float, float]:
    """The clock and the CPU time, that of processes which have ended included."""
    times = os.times()
    return time.perf_counter(), time.process_time() + times.children_user + times.children_system


def _age() -> float:
    """Seconds since the process began, by the clock; on Linux alone, and 0 elsewhere."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        begun = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - begun
    except (OSError, AttributeError, IndexError, ValueError):
        return 0.0
    return age if 0 <= age < 60 else 0.0
