"""How much of the machine a measurement had."""

import dataclasses
import os
import time
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Moment:
    """Clocks in seconds: the wall's, the CPU time of this process, and that of the machine."""

    wall: float
    own: float
    machine: float | None


def now() -> Moment:
    """Reads the clocks; that of the machine on Linux alone."""
    return Moment(time.perf_counter(), time.process_time(), _machine_seconds())


def cores_used(since: Moment) -> float:
    """CPU time over wall time of this process: near 1 on two cores means that one was taken."""
    end = now()
    return (end.own - since.own) / max(end.wall - since.wall, 1e-9)


def cores_taken(since: Moment, children: float = 0.0) -> float | None:
    """Cores kept busy by other processes, on average; None where that is not known.

    `children` is the CPU time of processes that belong to the measurement.
    """
    end = now()
    if end.machine is None or since.machine is None:
        return None
    others = (end.machine - since.machine) - (end.own - since.own) - children
    return max(others, 0.0) / max(end.wall - since.wall, 1e-9)


def process_seconds(pid: int) -> float:
    """CPU time of another process so far; 0 where that is not known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0


def _machine_seconds() -> float | None:
    try:
        fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
        user, nice, system, _, _, irq, softirq, steal, *_ = map(int, fields)
        return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None
