"""Measures one row: builds every candidate, holds their results together, times them by turns."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from experiments.benchmark import check, load, programs, timing
from experiments.benchmark.ceiling import Ceiling
from experiments.benchmark.compiled import compile_program
from experiments.benchmark.programs import BOTH, EPOCH, FORWARD, SCAN, STEP
from experiments.benchmark.registry import Benchmark
from experiments.benchmark.results import OURS, Figures, Result, compile_ratio
from experiments.benchmark.row_data import RowData
from experiments.benchmark.torch_peer import TorchError, TorchPeer

TORCH = ("torch", "torch-compile")
SCAN_SECONDS = 0.1  # a scan should take so long at least
LONGEST_SCAN = 5.0  # seconds: a peer's scan that would take longer is run once, with two iterations
FEWEST_ITERATIONS = 8
MOST_ITERATIONS = 64  # over so many is spread what a scan copies on its way in and out


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run measures and how.

    Attributes:
      dtype: as on the command line.
      peers: names of peers.
      in_scan: whether a step is measured in a scan too.
      plan: of the timing.
      torch: the process of PyTorch, None without.
      modes: the only ones; empty for all.
      megabytes: the size that batches are repeated to, see `copies.py`; 0 leaves them as they are.
    """

    dtype: str = "float32"
    peers: tuple[str, ...] = ("lax", "flax", "torch")
    in_scan: bool = False
    plan: timing.Plan = timing.Plan()
    torch: TorchPeer | None = None
    modes: tuple[str, ...] = ()
    megabytes: float = 0.0


@dataclasses.dataclass
class _Candidate:
    """One program in one mode, until it is measured.

    Attributes:
      sample: (calls) -> seconds a call; None if it is not timed by turns.
      results: what it computes.
      figures: what is known so far.
      steps: iterations in a call.
    """

    sample: Callable[[int], float] | None
    results: Sequence[np.ndarray] | None
    figures: Figures
    steps: int = 1


def measure(row: Benchmark, settings: Settings, ceiling: Ceiling) -> Iterator[Result]:
    """Yields a result for each mode."""
    data = RowData(row, settings.dtype, settings.megabytes)
    for together in _modes(row, settings.in_scan):
        if settings.modes and not set(together) <= set(settings.modes):
            continue
        candidates: dict[tuple[str, str], _Candidate] = {}
        for mode in together:
            length = _scan_length(row, candidates.get((STEP, OURS)))
            for name, build in _builders(row, mode, settings, data, length).items():
                candidates[mode, name] = build()
        _compare(row.suite, candidates, check.TOLERANCES[settings.dtype])
        begun, children = load.now(), _torch_seconds(settings)
        timings = timing.interleaved(
            {key: c.sample for key, c in candidates.items() if c.sample}, settings.plan
        )
        taken = load.cores_taken(begun, _torch_seconds(settings) - children)
        for key, measured in timings.items():
            candidate = candidates[key]
            candidate.figures = dataclasses.replace(
                candidate.figures,
                seconds=measured.median / candidate.steps,
                spread=None if math.isnan(measured.spread) else measured.spread,
                samples=len(measured.samples),
            )
        for mode in together:
            figures = {name: c.figures for (m, name), c in candidates.items() if m == mode}
            flops, moved = data.work(mode)
            ours = figures[OURS].seconds
            share = ceiling.seconds(flops, moved) / ours if flops and ours else None
            yield Result(
                row.suite, row.family, row.name, mode, settings.dtype, figures,
                flops=flops, moved_bytes=moved, ceiling_share=share, cores_taken=taken,
                compile_ratio=compile_ratio(figures),
            )  # fmt: skip


def _modes(row: Benchmark, in_scan: bool) -> list[tuple[str, ...]]:
    """The modes, those together that take turns with each other."""
    if row.suite == "primitives":
        return [(FORWARD,), (BOTH,), *([(STEP, SCAN)] if in_scan else [])]
    if not row.in_scan:
        return [(EPOCH,)]
    return [(STEP, SCAN) if in_scan else (STEP,)]


def _scan_length(row: Benchmark, step: _Candidate | None) -> int:
    """Iterations, the more the shorter a step is."""
    if row.suite == "models" or step is None or step.sample is None:
        return FEWEST_ITERATIONS
    return max(FEWEST_ITERATIONS, min(MOST_ITERATIONS, round(SCAN_SECONDS / step.sample(1))))


def _builders(
    row: Benchmark, mode: str, settings: Settings, data: RowData, length: int
) -> dict[str, Callable[[], _Candidate]]:
    """How each candidate is built, ours first."""
    functions = {OURS: row.ours}
    functions |= {name: call for name, call in row.peers.items() if name in settings.peers}
    builders = {
        name: functools.partial(_build, row.suite, mode, name, function, data, length)
        for name, function in functions.items()
    }
    by_torch = (FORWARD, BOTH) if row.suite == "primitives" else (STEP, EPOCH)
    if row.torch and settings.torch and mode in by_torch:
        for name in TORCH:
            if name in settings.peers:
                builders[name] = functools.partial(
                    _build_torch, row, mode, name, settings.torch, settings.dtype, data
                )
    return builders


def _build(
    suite: str, mode: str, name: str, function: Callable[..., Any], data: RowData, length: int
) -> _Candidate:
    """Compiles and runs a program of JAX; a scan by a peer only if it does not take too long."""
    arguments = programs.arguments(suite, mode, data.arrays, data.cotangent)
    try:
        if mode == SCAN and name != OURS:
            probe = compile_program(programs.program(suite, mode, function, 2), arguments)
            seconds = probe.sample(1) / 2
            if seconds * length > LONGEST_SCAN:
                figures = Figures(seconds, None, 1, probe.seconds, probe.temp_bytes)
                return _Candidate(None, None, figures)
        compiled = compile_program(programs.program(suite, mode, function, length), arguments)
        results = data.first(jax.tree.leaves(compiled.call()))
    except Exception as error:  # what one candidate can't do is a finding, not the end
        return _Candidate(None, None, Figures(error=_one_line(error)))
    figures = Figures(compile_seconds=compiled.seconds, temp_bytes=compiled.temp_bytes)
    return _Candidate(compiled.sample, results, figures, length if mode == SCAN else 1)


def _build_torch(
    row: Benchmark, mode: str, name: str, torch: TorchPeer, dtype: str, data: RowData
) -> _Candidate:
    function, options = row.torch or ("", {})
    cotangent = data.drawn_cotangent if mode == BOTH else None
    try:
        seconds, results = torch.build(
            name, function, options, data.drawn, cotangent, dtype=dtype,
            compiled=name != "torch", copies=data.copies.count, repeated=data.copies.arrays,
        )  # fmt: skip
    except TorchError as error:
        return _Candidate(None, None, Figures(error=_one_line(error)))
    figures = Figures(compile_seconds=seconds if name != "torch" else None)
    return _Candidate(functools.partial(torch.sample, name), results, figures)


def _compare(suite: str, candidates: dict[tuple[str, str], _Candidate], tolerance: float) -> None:
    """Notes how far the results of each candidate are from ours; one that is far is not timed."""
    for (mode, name), candidate in candidates.items():
        ours = candidates[mode, OURS].results
        if name == OURS or ours is None or candidate.results is None:
            continue
        found = check.difference(candidate.results, ours)
        factor = check.MODEL_FACTORS[mode] if suite == "models" else 1
        wrong = not found <= factor * tolerance
        candidate.figures = dataclasses.replace(
            candidate.figures, difference=found if math.isfinite(found) else None, wrong=wrong
        )
        candidate.sample = None if wrong else candidate.sample
    for candidate in candidates.values():
        candidate.results = None


def _torch_seconds(settings: Settings) -> float:
    return settings.torch.cpu_seconds() if settings.torch else 0.0


def _one_line(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0]
    return first if isinstance(error, TorchError) else f"{type(error).__name__}: {first}"
