"""Which rows are measured."""

import importlib
import pkgutil

from experiments import benchmark
from experiments.benchmark.registry import ROWS, Benchmark
from experiments.commands.command import UserError, nearest


def load_rows(suite: str) -> None:
    """Imports the files that register the rows of a suite."""
    for module in pkgutil.iter_modules(benchmark.__path__):
        of_models = module.name == "rows_models"  # makes networks, which takes a while
        if module.name.startswith("rows_") and of_models == (suite == "models"):
            importlib.import_module(f"{benchmark.__name__}.{module.name}")


def select(suite: str, text: str) -> list[Benchmark]:
    """The rows of a suite whose "family: name" holds `text`, or one of its parts.

    A row's whole name is no list of parts, whatever commas are in it.

    Raises:
      UserError: there is none.
    """
    of_suite = [row for row in ROWS.values() if row.suite == suite]
    named = any(row.name == text for row in of_suite)
    split = [text] if named else text.split(",")
    parts = [part.strip() for part in split if part.strip()] or [""]
    rows = [row for row in of_suite if any(p in f"{row.family}: {row.name}" for p in parts)]
    families = ", ".join(dict.fromkeys(row.family for row in of_suite))
    if not rows:
        raise UserError(
            f"--filter {text!r} fits no row of {suite}{nearest(text, [r.name for r in of_suite])}; "
            f"--list prints them, their families are: {families}"
        )
    return rows
