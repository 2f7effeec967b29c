"""What a run found, as a table and as JSON."""

import dataclasses
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path

from rich.table import Table

from experiments.commands import tables
from tests.fuzz.machine import Failure, Session
from tests.fuzz.poison.run import Run

COLUMNS = {
    "valid": "valid",
    "invalid": "invalid",
    "unsupported": "unsupported",
    "torch": "PyTorch",
    "failures": "failures",
}
_WIDEST = 100  # columns that hold the widest row


def versions() -> dict[str, str]:
    """Of what takes part."""
    found = {"python": platform.python_version()}
    for package in ("jax", "numpy", "hypothesis", "torch"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def show(session: Session, seed: int) -> None:
    """Prints a line per primitive, the totals, and what can be pasted."""
    target, table = tables.console(_WIDEST), Table(box=None, pad_edge=False)
    table.add_column("primitive", no_wrap=True)
    for title in COLUMNS.values():
        table.add_column(title, justify="right", no_wrap=True)
    counts = {n: [session.counts[n, column] for column in COLUMNS] for n in session.names}
    counts["total"] = [sum(column) for column in zip(*counts.values(), strict=True)]
    for name, figures in counts.items():
        table.add_row(name, *(str(figure or "-") for figure in figures))
    tables.show(table, target, named=1)
    for failure in session.failures:
        print(f"\n{describe(failure)}")
    of = ", ".join(f"{name} {version}" for name, version in versions().items())
    tables.say(
        target,
        f"\n{session.made:,} draws, {len(session.failures)} failures, "
        f"{session.checker.compiled:,} programs, {session.seconds:,.0f} CPU s; "
        f"--seed {seed}; {of}",
    )


def show_poison(run: Run, seed: int, say: Callable[[str], None] = print) -> None:
    """Prints what ran in poisoned memory, and what can be pasted."""
    for failure in run.failures:
        say(f"{failure}\n")
    of = ", ".join(f"{name} {version}" for name, version in versions().items())
    flags = os.environ.get("XLA_FLAGS", "") or "none"
    say(
        f"{run.counts['rows']} rows and {run.counts['drawn']:,} drawn calls, each {run.calls} "
        f"times; {run.counts['refused']} refused by the algorithm asked for; "
        f"{len(run.failures)} failures; {run.seconds:,.0f} CPU s; --seed {seed}; "
        f"flags of XLA: {flags}; {of}"
    )


def describe(failure: Failure) -> str:
    """A failure in two lines."""
    return f"{failure.kind}: {failure.message}\n    {failure.line}"


def write_json(session: Session, seed: int, path: Path) -> None:
    """Writes all counts and failures."""
    counts = {n: {c: session.counts[n, c] for c in COLUMNS} for n in session.names}
    failures = [dataclasses.asdict(failure) for failure in session.failures]
    whole = {
        "draws": session.made,
        "seed": seed,
        "seconds": round(session.seconds, 1),
        "programs": session.checker.compiled,
        "versions": versions(),
        "primitives": counts,
        "failures": failures,
    }
    path.write_text(json.dumps(whole, indent=2) + "\n")
