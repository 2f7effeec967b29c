"""Compares every gradient of the library with the one derived by hand, and prints the table."""

from experiments.commands import command
from experiments.commands.command import UserError, extra, nearest, require

with extra("experiments"):
    import importlib
    import os
    import re
    import sys
    from collections.abc import Sequence
    from dataclasses import dataclass, field
    from pathlib import Path
    from typing import Literal

    # Programs are compiled as users' are. A CPU passes for two devices, between which batches are
    # split.
    FLAG = "--xla_force_host_platform_device_count"
    if FLAG not in (flags := os.environ.get("XLA_FLAGS", "")):
        os.environ["XLA_FLAGS"] = f"{flags} {FLAG}=2".lstrip()

    # XLA says at length which FFT it does not split along a transformed axis.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    from experiments.commands import stopping
    from experiments.commands.phases import phase
    from experiments.gradients import table
    from jaxcnn import testing


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
    as_on: Literal["cpu", "cuda", "rocm", "tpu"] | None = None
    """Takes the algorithms of that platform, on the device that there is."""
    part: str = "1/1"
    """K/N: every N-th of these rows from the K-th on, for N programs or machines to share them."""
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Rows that run at the same time."""

    def __post_init__(self):
        require(self.workers >= 1, "workers", self.workers, "must be at least 1")
        require(self.turn is not None, "part", self.part, "must be K/N, with K from 1 to N")

    @property
    def turn(self) -> tuple[int, int] | None:
        """K and N of `part`; None where it is no such thing."""
        number, slash, count = self.part.partition("/")
        if slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
            return int(number), int(count)
        return None


def main(options: Options) -> int:
    """Runs the rows that `options` choose; returns 1 if one of them differs."""
    load(options.module)
    try:
        chosen = testing.select(options.filter, dtype=options.dtype, algorithms=options.algorithms)
    except ValueError as error:  # about one of these arguments, which are options here
        told, near = str(error), nearest(options.filter, testing.primitives())
        told = told.replace("fits no row; there", f"fits no row{near}; there")
        raise UserError(re.sub(r"^select: `(\w+)`", r"--\1", told)) from None
    number, count = options.turn
    chosen = chosen[number - 1 :: count]
    target = table.console()
    if options.list:
        for case, dtype in chosen:
            print(f"{case.primitive}: {case.name} ({dtype})")
        return 0
    for path in (options.json, options.csv):
        if path:
            command.reserve(path)
    outcomes: list[testing.Outcome] = []

    def keep() -> None:  # stopped or not: what was done by then
        table.show(outcomes, target, left=len(chosen) - len(outcomes))
        if options.json:
            table.write_json(outcomes, options.json)
        if options.csv:
            table.write_csv(outcomes, options.csv)

    compared = testing.compare_rows(
        chosen,
        transforms=options.transforms,
        workers=options.workers,
        platform=options.as_on,
    )
    with (
        stopping.undoing(keep),
        phase("rows", f"comparing, {len(chosen)} rows", total=len(chosen)) as shown,
    ):
        for outcome in compared:
            outcomes.append(outcome)
            count = f"compared {len(outcomes)} of {len(chosen)}"
            row = f"{count}: {outcome.primitive}"
            shown.move(len(outcomes), f"{row}, {outcome.case}", row, count)
    keep()
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def load(modules: Sequence[str]) -> None:
    """Imports what registers rows: the library's families of cases, then the user's `modules`."""
    testing.primitives()
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name.partition(".")[0] and error.name != name:
                raise
            raise UserError(
                f"--module {name} was not found; run from its folder, or put that on PYTHONPATH"
            ) from None


if __name__ == "__main__":
    commands = {"compare": (Options, main)}
    sys.exit(
        command.run(
            "python -m experiments.gradients",
            commands,
            took="14 to 20 minutes of CPU for all rows",
        )
    )
