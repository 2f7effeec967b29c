"""Compares every gradient of the library with the one derived by hand, and prints the table."""

from experiments import command
from experiments.command import extra, require

with extra("experiments"):
    import os
    import sys
    from dataclasses import dataclass, field
    from pathlib import Path

    # Compiling is nearly all of the time here and each program runs a few times only: LLVM's own
    # optimiser stays off, which halves the time and leaves XLA's passes as they are.
    # A CPU passes for two devices, between which batches are split.
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_backend_optimization_level=0 --xla_force_host_platform_device_count=2",
    )

    # XLA says at length which FFT it does not split along a transformed axis.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from experiments.gradients import comparison, table


@dataclass(frozen=True)
class Options:
    """Holds autodiff against hand-derived gradients, against differences and against itself."""

    filter: str = ""
    """A primitive's name, or any part of "primitive: case"; empty for every row."""
    dtype: tuple[str, ...] = ()
    """Only these dtypes, such as float64 bfloat16; none for all."""
    module: tuple[str, ...] = ()
    """Modules of your own that register functions; imported first."""
    json: Path | None = None
    """File for every error of every row."""
    csv: Path | None = None
    """The same as a table."""
    list: bool = False
    """Prints the names of the rows and runs none."""
    transforms: bool = True
    """Compares jit, vmap, checkpoint, scan and two devices too, about half of the time."""
    algorithms: bool = False
    """Runs each case by every algorithm that takes it too."""
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Rows that run at the same time."""


def main(options: Options) -> int:
    """Runs the rows that `options` choose; returns 1 if one of them differs."""
    require(options.workers >= 1, "workers", options.workers, "must be at least 1")
    comparison.load(options.module)
    chosen = comparison.select(options.filter, options.dtype, options.algorithms)
    target = table.console()
    if options.list:
        for case, dtype in chosen:
            print(f"{case.primitive}: {case.name} ({dtype})")
        return 0
    for path in (options.json, options.csv):
        if path:
            command.reserve(path)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    rows = []
    with Progress(
        *columns, console=target, transient=True, disable=not target.is_terminal
    ) as progress:
        task = progress.add_task("comparing", total=len(chosen))
        for row in comparison.compare(chosen, options.transforms, options.workers):
            rows.append(row)
            progress.update(task, advance=1, description=row.primitive)
    table.show(rows, target)
    if options.json:
        table.write_json(rows, options.json)
    if options.csv:
        table.write_csv(rows, options.csv)
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(command.run("python -m experiments.gradients", {"compare": (Options, main)}))
