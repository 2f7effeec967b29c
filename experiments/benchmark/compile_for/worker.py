"""Compiles a row for a device that is not here: a process of its own, see `workers.py`."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmark import programs
from experiments.benchmark.compile_for.results import Figures, Result
from experiments.benchmark.programs import BOTH, EPOCH, FORWARD, STEP
from experiments.benchmark.registry import Benchmark
from experiments.benchmark.results import OURS
from experiments.benchmark.selection import load_rows, select
from experiments.compiled_for import description, inlined, model
from experiments.compiled_for.description import Description
from experiments.compiled_for.kernels import Program
from experiments.compiled_for.schedules import Schedules
from experiments.compiled_for.target import Target, kernels, memory
from experiments.compiled_for.workers import Answer, Task, serve


def answer(task: Task) -> Answer:
    """{"suite", "row", "dtype", "device", "peers"} to {"results"}, one for each mode."""
    device = _device(task["device"])
    row = _row(task["suite"], task["row"])
    found = results(row, task["dtype"], device, task["peers"])
    return {"results": [dataclasses.asdict(result) for result in found]}


def results(row: Benchmark, dtype: str, device: Description, peers: list[str]) -> Iterator[Result]:
    """Ours and the peers', in each mode."""
    candidates = {OURS: row.ours}
    candidates |= {name: call for name, call in row.peers.items() if name in peers}
    arrays = shapes(row, jnp.dtype(dtype))
    for mode in modes(row):
        given, least = _program(row, mode, arrays)
        compiler = Compiler(device)
        figures = {
            name: compiler.figures(programs.program(row.suite, mode, call, 1), given)
            for name, call in candidates.items()
        }
        yield Result(row.suite, row.family, row.name, mode, dtype, figures, least)


def modes(row: Benchmark) -> tuple[str, ...]:
    """In which a row is compiled."""
    if row.suite == "primitives":
        return FORWARD, BOTH
    return (STEP,) if row.in_scan else (EPOCH,)


class Compiler:
    """Compiles programs of the same arrays, each that is lowered to the same only once.

    Ours of a plain convolution is most often lax's, and takes a TPU's compiler minutes. In what was
    compiled twice before, 122 programs for an H100 and 34 for a TPU, all figures were the same.
    """

    def __init__(self, device: Description):
        self._device, self._target = device, Target(device)
        self._schedules = _schedules() if device.platform == "tpu" else None
        self._known: dict[str, Figures] = {}

    def figures(self, function: Callable[..., Any], given: list[jax.ShapeDtypeStruct]) -> Figures:
        """What the compiler makes of a program."""
        start = time.perf_counter()
        try:
            lowered = self._target.lower(function, given)
            text, took = inlined.text(lowered), time.perf_counter() - start
            if text not in self._known:
                self._known[text] = self._compiled(lowered)
        except Exception as error:  # what one candidate can't do is a finding, not the end
            return Figures(error=f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")
        found = self._known[text]
        return dataclasses.replace(found, compile_seconds=took + (found.compile_seconds or 0))

    def _compiled(self, lowered: jax.stages.Lowered) -> Figures:
        device = self._device
        if self._schedules:
            self._schedules.forget()
        start = time.perf_counter()
        done = lowered.compile()
        took = time.perf_counter() - start
        program = kernels(done)
        if self._schedules:
            program = self._schedules.counted(program)
        seconds = model.seconds(program, device)
        return Figures(
            launches=program.launches,
            kinds=dict(program.kinds),
            bytes=program.bytes,
            loads=sum(kernel.times * kernel.loads for kernel in program.kernels),
            flops=program.flops,
            temp_bytes=memory(done).temporary,
            seconds=seconds,
            cycles=round(seconds * device.clock) if device.clock else None,
            unscheduled=_unscheduled(program) if device.clock else None,
            compile_seconds=took,
        )


def _unscheduled(program: Program) -> int:
    """Kernels whose cycles are not those of a schedule."""
    return sum(k.times for k in program.kernels if not (k.scheduled or k.aside))


def shapes(row: Benchmark, dtype: np.dtype) -> list[jax.ShapeDtypeStruct]:
    """The arrays of a row, without their numbers; those of floats in that dtype."""
    drawn = (draw(_Blank(np.random.PCG64(0))) for draw in row.draws)
    return [jax.ShapeDtypeStruct(a.shape, dtype if a.dtype.kind == "f" else a.dtype) for a in drawn]


def _program(
    row: Benchmark, mode: str, arrays: list[jax.ShapeDtypeStruct]
) -> tuple[list[jax.ShapeDtypeStruct], int]:
    """What a program takes, and the bytes that it must move."""
    given = list(arrays)
    function = programs.program(row.suite, mode, row.ours, 1)
    if mode == BOTH:
        output = jax.eval_shape(row.ours, *arrays)
        given.append(jax.ShapeDtypeStruct(output.shape, output.dtype))
    taken = jax.tree.leaves(jax.eval_shape(function, *given))
    return given, sum(math.prod(a.shape) * a.dtype.itemsize for a in [*given, *taken])


class _Blank(np.random.Generator):
    """Draws nothing: the shape is all that counts."""

    def standard_normal(self, size=None, dtype=np.float64, out=None):
        return np.zeros(size or (), dtype)


@functools.cache
def _schedules() -> Schedules:
    return Schedules()


@functools.cache
def _device(name: str) -> Description:
    return description.load(name)


@functools.cache
def _rows(suite: str) -> Mapping[str, Benchmark]:
    load_rows(suite)
    return {row.name: row for row in select(suite, "")}


def _row(suite: str, name: str) -> Benchmark:
    return _rows(suite)[name]


if __name__ == "__main__":
    serve(answer)
