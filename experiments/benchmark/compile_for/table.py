"""What was compiled, as a table on the terminal."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from experiments.benchmark.compile_for.results import Figures, Result
from experiments.benchmark.results import OURS, geometric_mean
from experiments.benchmark.table import peers_in
from experiments.commands import tables

CLEARLY = 1.05  # times a peer's time: a row above stands out


def show(results: Sequence[Result], target: Console) -> None:
    """Prints a line per row and mode, then the averages, then what failed."""
    peers = peers_in(results)
    cycles = any(figures.cycles for result in results for figures in result.figures.values())
    table = Table(box=box.SIMPLE_HEAD if target.is_terminal else None, pad_edge=False)
    for heading in ("row", "mode"):
        table.add_column(heading, no_wrap=True)
    unit = "kcycles" if cycles else "us"
    headings = [
        "kernels",
        *(f"{name}'s" for name in peers),
        "MB",
        *(f"{name}'s" for name in peers),
        "least",
        "x least",
        "temp MB",
        *(f"{name}'s" for name in peers),
        unit,
        *(f"{name}'s" for name in peers),
        *(f"x {name}'s" for name in peers),
    ]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("ours are")
    table.add_column(f"{peers[0]}'s are" if peers else "")
    previous = ""
    for result in results:
        name = result.name if result.name != previous or not target.is_terminal else ""
        previous = result.name
        table.add_row(name, result.mode, *_cells(result, peers, cycles), style=_style(result))
    tables.show(table, target, named=2)
    for line in averages(results, peers):
        tables.say(target, line)
    for result in results:
        for candidate, figures in result.figures.items():
            if figures.error:
                said = f"{result.name}, {result.mode}: {candidate} failed: {figures.error}"
                tables.say(target, said)


def averages(results: Sequence[Result], peers: Sequence[str]) -> list[str]:
    """For each mode and peer the mean ratios, and the rows that move or launch more."""
    lines = []
    for mode in dict.fromkeys(result.mode for result in results):
        rows = [result for result in results if result.mode == mode]
        for peer in peers:
            times = {row.name: ratio for row in rows if (ratio := row.ratio("seconds", peer))}
            sizes = {row.name: ratio for row in rows if (ratio := row.ratio("bytes", peer))}
            if times:
                most = max(times, key=lambda name: times[name])
                lines.append(
                    f"{mode}: {geometric_mean(times.values()):.2f} x {peer}'s time and "
                    f"{geometric_mean(sizes.values()) or 0:.2f} x its bytes, geometric mean of "
                    f"{len(times)} rows; most time {times[most]:.2f} x ({most})"
                )
            more = [row.name for row in rows if (row.ratio("bytes", peer) or 0) > 1.005]
            launched = [row.name for row in rows if (row.ratio("launches", peer) or 0) > 1]
            for what, names in (("bytes", more), ("kernels", launched)):
                if names:
                    lines.append(f"{mode}: more {what} than {peer} in {'; '.join(names)}")
    return lines


def kinds(found: Mapping[str, int]) -> str:
    """Such as "2 fusion, 1 scatter"."""
    return ", ".join(f"{count} {kind}" for kind, count in found.items())


def _cells(result: Result, peers: Sequence[str], cycles: bool) -> list[str]:
    figures = [result.figures.get(name, Figures()) for name in (OURS, *peers)]
    ours = figures[0]
    times = [_number(f.cycles if cycles else f.seconds, 1e-3 if cycles else 1e6) for f in figures]
    if ours.error:
        times[0] = "failed"
    return [
        *(str(f.launches or "-") for f in figures),
        *(_number(f.bytes, 1e-6) for f in figures),
        _number(result.least_bytes, 1e-6),
        _number(result.times_least, 1, "{:.2f}"),
        *(_number(f.temp_bytes, 1e-6) for f in figures),
        *times,
        *(_number(result.ratio("seconds", name), 1, "{:.2f}") for name in peers),
        kinds(ours.kinds),
        kinds(figures[1].kinds) if peers else "",
    ]


def _number(value: float | None, scale: float, form: str = "{:,.1f}") -> str:
    return "-" if value is None else form.format(value * scale)


def _style(result: Result) -> str:
    """Red where ours failed, yellow where plain lax is clearly ahead."""
    if result.failed:
        return "red"
    ratio = result.ratio("seconds", "lax")
    return "yellow" if ratio is not None and ratio > CLEARLY else ""
