"""The benchmark's rows on the device, beside lax, Flax, PyTorch and torch.compile.

Passes, each over all rows, one of each family after the other: first the forward and backward pass
in each dtype, then the networks' steps, then torch.compile, whose compiling takes longest, then the
forward pass alone. Candidates take turns, and each sample waits for the device at its end.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from experiments.benchmark import timing
from experiments.benchmark.ceiling import Ceiling
from experiments.benchmark.measure import Settings, measure
from experiments.benchmark.programs import BOTH, EPOCH, FORWARD, STEP
from experiments.benchmark.registry import Benchmark
from experiments.benchmark.results import Result
from experiments.benchmark.selection import load_rows, select
from experiments.benchmark.torch_peer import TorchPeer
from experiments.commands.command import UserError
from experiments.compiled_for.workers import answers
from experiments.device.ahead import PRECISIONS
from experiments.device.budget import Budget, by_turns

AHEAD = "experiments.device.ahead"
PLAN = timing.Plan(discard=1, repeats=5, row_seconds=0.15, most_seconds=1.0)
AHEAD_SHARE = 0.5  # of what is left, that compiling a pass ahead may take
COMPILED = "torch-compile"


@dataclasses.dataclass(frozen=True)
class Pass:
    """Rows that are measured alike.

    Attributes:
      suite, mode, dtype, peers: as in the benchmark.
    """

    suite: str
    mode: str
    dtype: str
    peers: tuple[str, ...]

    def key(self, row: Benchmark) -> tuple[str, ...]:
        """What our own program is compiled from."""
        return row.name, self.mode, self.dtype

    def words(self, row: Benchmark) -> str:
        """A row of the pass as a person would call it."""
        return f"{row.name}, {self.mode}, {self.dtype}, beside {' and '.join(self.peers)}"


@dataclasses.dataclass(frozen=True)
class Measured:
    """A row.

    Attributes:
      result: as the benchmark gives it.
      predicted: by candidate what the model says of its program on this device.
    """

    result: Result
    predicted: dict[str, Any]


@dataclasses.dataclass
class Speed:
    """What was measured.

    Attributes:
      measured: the rows.
      not_run: those that did not fit into the time.
      ceilings: by dtype.
    """

    measured: list[Measured] = dataclasses.field(default_factory=list)
    not_run: list[str] = dataclasses.field(default_factory=list)
    ceilings: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Ways:
    """How they are measured.

    Attributes:
      filter: any part of "family: row", several with commas between.
      dtypes: of the benchmark.
      megabytes: that batches are repeated to.
      model: name of the description that the model takes; empty for none.
      workers: processes that compile.
      best: the most that the device can do, for shares of it.
    """

    filter: str
    dtypes: tuple[str, ...]
    megabytes: float
    model: str
    workers: int
    best: Ceiling


def passes(dtypes: Sequence[str]) -> list[Pass]:
    """In the order in which they are run."""
    first = dtypes[0]
    return [
        *(Pass("primitives", BOTH, dtype, ("lax", "torch")) for dtype in dtypes),
        *(Pass("models", mode, first, ("flax", "torch")) for mode in (STEP, EPOCH)),
        *(Pass("primitives", BOTH, dtype, (COMPILED,)) for dtype in dtypes),
        *(Pass("models", mode, first, (COMPILED,)) for mode in (STEP, EPOCH)),
        *(Pass("primitives", FORWARD, dtype, ("lax", "torch")) for dtype in dtypes),
    ]


def rows(given: Pass, filter: str) -> list[Benchmark]:
    """The rows of a pass; none where the filter fits none of its suite."""
    load_rows(given.suite)
    try:
        found = select(given.suite, filter)
    except UserError:
        return []
    if given.suite == "models":
        return [row for row in found if row.in_scan == (given.mode == STEP)]
    return by_turns(found, lambda row: row.family)


def run(ways: Ways, torch: TorchPeer | None, budget: Budget, into: Speed) -> Iterator[None]:
    """Measures until the time is up; yields after each row.

    Args:
      ways: how.
      torch: the process of PyTorch; its peers are left out without.
      budget: of this part.
      into: gets what is found.
    """
    wanted = [(each, rows(each, ways.filter)) for each in passes(ways.dtypes)]
    if torch is None:
        wanted = [(each, found) for each, found in wanted if each.peers != (COMPILED,)]
    into.not_run = [each.words(row) for each, found in wanted for row in found]
    predicted: dict[tuple[str, ...], Any] = {}
    for each, found in wanted:
        if not budget.left:
            return
        new = [row for row in found if each.key(row) not in predicted]
        predicted |= _ahead(each, new, ways, Budget(AHEAD_SHARE * budget.left))
        settings = Settings(
            each.dtype, each.peers, False, PLAN, torch, (each.mode,), ways.megabytes
        )
        for row in found:
            if not budget.left:
                return
            known = predicted.get(each.key(row), {})
            with jax.default_matmul_precision(PRECISIONS.get(each.dtype)):
                results = [*measure(row, settings, ways.best)]
            into.measured += [Measured(result, known) for result in results]
            into.not_run.remove(each.words(row))
            if torch:
                torch.drop()
            yield


def torch_peer(python: Path | None, platform: str, folder: Path) -> TorchPeer | None:
    """The process of PyTorch, None where there is none."""
    try:
        return TorchPeer(python, platform, folder)
    except UserError as error:
        print(f"measured without PyTorch: {error}")
        return None


def _ahead(each: Pass, found: list[Benchmark], ways: Ways, budget: Budget) -> dict[str, Any]:
    """Compiles programs of a pass into the cache; by key what the model says of each row."""
    by_name = {row.name: row for row in found}
    tasks = [
        {
            "suite": each.suite, "row": row.name, "mode": each.mode, "dtype": each.dtype,
            "peers": each.peers, "megabytes": ways.megabytes, "model": ways.model,
        }
        for row in found
    ]  # fmt: skip
    answered = answers(AHEAD, tasks, {}, ways.workers, budget.left)
    return {
        each.key(by_name[task["row"]]): answer.get("predicted", {}) for task, answer in answered
    }
