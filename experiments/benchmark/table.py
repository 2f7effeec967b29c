"""The results as a table on the terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from experiments.benchmark.programs import FULL, SCAN
from experiments.benchmark.results import (
    COMPILE_TARGET,
    OURS,
    Figures,
    Result,
    geometric_mean,
    scan_cost,
)
from experiments.commands import tables

PLAIN_WIDTH = 240  # columns that hold the widest row
PEERS = ("lax", "flax", "torch", "torch-compile")


def console() -> Console:
    """A console that cuts no figure."""
    return tables.console(PLAIN_WIDTH)


def peers_in(results: Sequence[Result]) -> list[str]:
    """The peers that any row has."""
    return [peer for peer in PEERS if any(peer in result.figures for result in results)]


def show(results: Sequence[Result], target: Console) -> None:
    """Prints a line per row and mode, then the averages, then what is wrong or failed."""
    peers = peers_in(results)
    table = Table(box=box.SIMPLE_HEAD if target.is_terminal else None, pad_edge=False)
    for heading in ("row", "mode"):
        table.add_column(heading, no_wrap=True)
    headings = [
        *(f"{name} ms" for name in (OURS, *peers)),
        *(f"x {name}" for name in peers),
        "spread",
        "compile CPU s",
        "x peer's",
        "temp MB",
        "lax's",
        "ceiling",
    ]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    previous = ""
    for result in results:
        name = result.name if result.name != previous or not target.is_terminal else ""
        previous = result.name
        table.add_row(name, result.mode, *_cells(result, peers), style=_style(result))
    tables.show(table, target, named=2)
    for line in averages(results, peers):
        tables.say(target, line)
    for result in results:
        for candidate, figures in result.figures.items():
            said = f"{result.name}, {result.mode}: {candidate}"
            if figures.wrong:
                text = "no number in common" if figures.difference is None else (
                    f"{figures.difference:.1e} of the largest value"
                )  # fmt: skip
                target.print(f"WRONG {said} differs from {OURS} by {text}", style="bold red")
            elif figures.error:
                tables.say(target, f"{said} failed: {figures.error}")


def averages(results: Sequence[Result], peers: Sequence[str]) -> list[str]:
    """A line for each mode and peer."""
    lines = []
    for mode in dict.fromkeys(result.mode for result in results):
        rows = [result for result in results if result.mode == mode]
        for peer in peers:
            ratios = {row.name: ratio for row in rows if (ratio := row.speedup(peer))}
            if ratios:
                least = min(ratios, key=lambda name: ratios[name])
                lines.append(
                    f"{mode}: {geometric_mean(ratios.values()):.2f} x as fast as {peer}, geometric "
                    f"mean of {len(ratios)} rows; least {ratios[least]:.2f} x ({least})"
                )
    ratios = {r.name: r.compile_ratio for r in results if r.mode in FULL and r.compile_ratio}
    if ratios:
        above = sorted((n for n in ratios if ratios[n] > COMPILE_TARGET), key=lambda n: -ratios[n])
        said = ", ".join(f"{name} {ratios[name]:.1f}" for name in above)
        lines.append(
            f"compiling with the gradient: {geometric_mean(ratios.values()):.2f} x the CPU seconds "
            f"of the quickest peer on JAX, geometric mean of {len(ratios)} rows; target "
            f"{COMPILE_TARGET:g}, missed by {len(above) or 'none'}" + (f": {said}" if said else "")
        )
    for candidate in (OURS, *peers):
        names = dict.fromkeys(result.name for result in results if result.mode == SCAN)
        costs = {name: cost for name in names if (cost := scan_cost(results, name, candidate))}
        if costs:
            most = max(costs, key=lambda name: costs[name])
            lines.append(
                f"in a scan: {candidate} takes {geometric_mean(costs.values()):.2f} x as long as "
                f"outside; most {costs[most]:.2f} x ({most})"
            )
    return lines


def _cells(result: Result, peers: Sequence[str]) -> list[str]:
    ours, lax = result.figures[OURS], result.figures.get("lax", Figures())
    figures = [result.figures.get(name) for name in (OURS, *peers)]
    return [
        *map(_milliseconds, figures),
        *(_number(result.speedup(peer), "{:.2f}") for peer in peers),
        _number(ours.spread, "{:.0%}"),
        _number(ours.compile_seconds, "{:.2f}"),
        _compiling(result),
        _number(_mega(ours.temp_bytes), "{:.1f}"),
        _number(_mega(lax.temp_bytes), "{:.1f}"),
        _number(result.ceiling_share, "{:.0%}"),
    ]


def _compiling(result: Result) -> str:
    """The ratio, with a mark where it is above the target, which holds with the gradient."""
    missed = result.mode in FULL and (result.compile_ratio or 0) > COMPILE_TARGET
    return _number(result.compile_ratio, "{:.1f} missed" if missed else "{:.1f}")


def _milliseconds(figures: Figures | None) -> str:
    if figures is None:
        return "-"
    if figures.wrong:
        return "WRONG"
    return "failed" if figures.error else _number(figures.seconds, "{:.3g}", 1e3)


def _number(value: float | None, form: str, scale: float = 1.0) -> str:
    return "-" if value is None else form.format(value * scale)


def _mega(size: int | None) -> float | None:
    return None if size is None else size / 1e6


def _style(result: Result) -> str:
    """Red where something is wrong, yellow where plain lax is clearly faster."""
    if result.failed:
        return "red"
    ratio = result.speedup("lax")
    return "yellow" if ratio is not None and ratio < 0.8 and result.mode in FULL else ""
