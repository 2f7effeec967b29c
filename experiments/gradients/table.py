"""The comparison as a table, as JSON and as CSV."""

import csv
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments.commands import tables
from jaxcnn.testing import Outcome

# Heading -> the checks whose largest error stands under it.
COLUMNS = {
    "by hand": ("rev",),
    "forward": ("fwd",),
    "differences": ("differences",),
    "second order": ("second",),
    "jit": ("jit",),
    "vmap": ("vmap",),
    "checkpoint": ("checkpoint",),
    "scan": ("scan",),
    "sharded": ("sharded",),
}

# Columns that hold the widest row.
PLAIN_WIDTH = 180


def console() -> Console:
    """A console that cuts no figure."""
    return tables.console(PLAIN_WIDTH)


def show(rows: Sequence[Outcome], target: Console, left: int = 0) -> None:
    """Prints a line per row, then what differs in full, then how many agree and were left out."""
    table = Table(box=box.SIMPLE_HEAD if target.is_terminal else None, pad_edge=False)
    for heading in ("primitive", "case", "dtype"):
        table.add_column(heading, overflow="fold")
    for heading in COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    previous = ""
    for row in rows:
        name = row.primitive if row.primitive != previous or not target.is_terminal else ""
        previous = row.primitive
        figures = [_figure(row.largest(*checks)) for checks in COLUMNS.values()]
        verdict = "[green]agrees[/]" if row.passed else "[bold red]DIFFERS[/]"
        table.add_row(escape(name), escape(row.case), row.dtype, *figures, verdict)
    tables.show(table, target, named=3)
    failed = [row for row in rows if not row.passed]
    for row in failed:
        target.print(f"\n{row.primitive}: {row.case} ({row.dtype})", style="bold", markup=False)
        tables.say(target, row.message)
    rest = f"; {left} were not run" if left else ""
    target.print(f"\n{len(rows) - len(failed)} of {len(rows)} rows agree{rest}", highlight=False)


def write_json(rows: Sequence[Outcome], path: Path) -> None:
    """Writes one object per row, with every check under `errors`; what is no number is null."""
    objects = []
    for row in rows:
        finite = {k: v if math.isfinite(v) else None for k, v in row.errors.items()}
        objects.append({**dataclasses.asdict(row), "errors": finite})
    path.write_text(json.dumps(objects, indent=2) + "\n")


def write_csv(rows: Sequence[Outcome], path: Path) -> None:
    """Writes a line per row, with a column per check that any row has."""
    checks = dict.fromkeys(check for row in rows for check in row.errors)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["primitive", "case", "dtype", "seconds", "passed", *checks, "message"])
        for row in rows:
            head = [row.primitive, row.case, row.dtype, f"{row.seconds:.2f}", row.passed]
            writer.writerow([*head, *(row.errors.get(check, "") for check in checks), row.message])


def _figure(error: float | None) -> str:
    return "-" if error is None else f"{error:.1e}"
