"""What a device told: one file, written anew after every step, and tables of it."""

import dataclasses
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.benchmark.results import OURS, geometric_mean
from experiments.benchmark.table import PEERS
from experiments.commands import tables
from experiments.device.epochs import Epochs
from experiments.device.exact import Checked, Exact
from experiments.device.speed import Measured, Speed

_SHOWN = 40  # of what is wrong


@dataclasses.dataclass
class Report:
    """All that is known so far.

    Attributes:
      head: the device, the versions, the options.
      exact, epochs, speed: the parts.
      failed: parts that ended by an error, and the error.
      whole: whether the command came to its end.
    """

    head: dict[str, Any]
    exact: Exact = dataclasses.field(default_factory=Exact)
    epochs: list[Epochs] = dataclasses.field(default_factory=list)
    speed: Speed = dataclasses.field(default_factory=Speed)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    whole: bool = False

    @property
    def wrong(self) -> bool:
        """Whether anything is not as it should be."""
        rows = [measured.result for measured in self.speed.measured]
        return bool(
            self.failed
            or any(not row.passed for row in self.exact.checked)
            or any(row.failed for row in rows)
        )

    def write(self, path: Path) -> None:
        """Writes the file; a reader sees the old one or the new one."""
        text = json.dumps(_plain(dataclasses.asdict(self)), indent=1)
        new = path.with_name(f"{path.name}.new")
        new.write_text(text + "\n")
        new.replace(path)


def show(report: Report, target: Console) -> None:
    """Prints a table for each part that has something to tell."""
    if report.exact.checked:
        _show_exact(report.exact, target)
    if report.speed.measured:
        _show_speed(report.speed, target)
    if report.epochs:
        _show_epochs(report.epochs, target)
    for part, left in (("exact", report.exact.not_run), ("speed", report.speed.not_run)):
        if left:
            some = "; ".join(left[:3]) + ("; ..." if len(left) > 3 else "")
            tables.say(target, f"{part}: {len(left)} rows were not run, the time was up: {some}")
    for part, error in report.failed.items():
        tables.say(target, f"{part} failed: {error}")


def _show_exact(exact: Exact, target: Console) -> None:
    table = _table("primitive", "programs", "agree", "same bits", "values", "gradients", "by")
    for name, rows in _grouped(exact.checked, lambda row: row.primitive).items():
        for precision, group in _grouped(rows, _precision).items():
            table.add_row(
                name, str(len(group)), str(sum(row.passed for row in group)),
                str(sum(row.same_bits is True for row in group)), _worst(group, "value"),
                _worst(group, "rev"), precision,
            )  # fmt: skip
            name = ""
    tables.show(table, target, named=1)
    wrong = [row for row in exact.checked if not row.passed]
    for row in wrong[:_SHOWN]:
        first = row.message.partition("\n")[0][:300]
        tables.say(target, f"WRONG {row.primitive}: {row.case} ({_precision(row)}): {first}")
    good = len(exact.checked) - len(wrong)
    tables.say(
        target, f"{good} of {len(exact.checked)} programs agree with the reference, bits included"
    )


def _show_speed(speed: Speed, target: Console) -> None:
    peers = [p for p in PEERS if any(p in m.result.figures for m in speed.measured)]
    headings = ["row", "mode", "dtype", "ms", "model", *(f"x {p}" for p in peers), "model's x"]
    table = _table(*headings, numbers=3)
    lines = _grouped(speed.measured, lambda m: m.result.key)
    for (name, mode, dtype), found in lines.items():
        ratios = {p: r for m in found for p in peers if (r := m.result.speedup(p))}
        table.add_row(
            name, mode, dtype, _figure(found[0].result.figures[OURS].seconds, 1e3),
            _figure(_seconds(found[0], OURS), 1e3), *(_figure(ratios.get(p)) for p in peers),
            _figure(_modelled(found[0])),
        )  # fmt: skip
    tables.show(table, target, named=3)
    for mode, dtype in dict.fromkeys((mode, dtype) for _, mode, dtype in lines):
        group = [m for m in speed.measured if m.result.key[1:] == (mode, dtype)]
        for peer in peers:
            ratios = [ratio for m in group if (ratio := m.result.speedup(peer))]
            if ratios:
                tables.say(
                    target,
                    f"{mode}, {dtype}: {geometric_mean(ratios):.2f} x as fast as {peer}, "
                    f"geometric mean of {len(ratios)} rows",
                )
        if off := [o for m in group if (o := _off(m))]:
            tables.say(
                target,
                f"{mode}, {dtype}: took {statistics.median(off):.2f} x the model's time, median "
                f"of {len(off)} rows, from {min(off):.2f} to {max(off):.2f}",
            )
    for measured in speed.measured:
        for name, figures in measured.result.figures.items():
            if figures.wrong or figures.error:
                why = figures.error or f"differs by {figures.difference}"
                tables.say(target, f"{measured.result.name}, {measured.result.mode}, {name}: {why}")


def _show_epochs(epochs: Sequence[Epochs], target: Console) -> None:
    table = _table(
        "network", "data", "precision", "batch", "epoch s", "model", "images/s", numbers=3
    )
    for row in epochs:
        table.add_row(
            row.title, row.data, row.precision, str(row.batch_size),
            _figure(statistics.median(row.seconds) if row.seconds else None),
            _figure(row.predicted.get("seconds")), _figure(row.images_a_second, 1.0, ",.0f"),
        )  # fmt: skip
    tables.show(table, target, named=3)


def _table(*headings: str, numbers: int = 1) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, no_wrap=True, justify="left" if place < numbers else "right")
    return table


def _precision(row: Checked) -> str:
    return row.dtype if row.precision in ("", "default") and row.dtype != "float32" else (
        f"{row.dtype}, {row.precision or 'any'}"
    )  # fmt: skip


def _worst(rows: Iterable[Checked], check: str) -> str:
    errors = [row.errors[check] for row in rows if check in row.errors]
    if not errors:
        return "-"
    return "inf" if None in errors else f"{max(e for e in errors if e is not None):.0e}"


def _seconds(measured: Measured, name: str) -> float | None:
    return measured.predicted.get(name, {}).get("seconds")


def _modelled(measured: Measured) -> float | None:
    """How many times as fast as the first peer the model has us."""
    ours = _seconds(measured, OURS)
    peers = [_seconds(measured, name) for name in PEERS if _seconds(measured, name)]
    return peers[0] / ours if ours and peers and peers[0] else None


def _off(measured: Measured) -> float | None:
    """The measured time over the model's."""
    seconds, modelled = measured.result.figures[OURS].seconds, _seconds(measured, OURS)
    return seconds / modelled if seconds and modelled else None


def _figure(value: float | None, scale: float = 1.0, form: str = ".3g") -> str:
    return "-" if value is None else format(value * scale, form)


def _grouped(items: Iterable[Any], key: Any) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _plain(value: Any) -> Any:
    """Numbers that JSON has, with as many digits as a measurement holds."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
