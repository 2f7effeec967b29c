"""Compiles a row's programs before they are measured, and models their time.

A process of its own, see `compiled_for/workers.py`, one of many at a time: what it compiles lies in
JAX's cache on the disk, from which the process that measures takes it. Nothing is measured
meanwhile.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmark import programs
from experiments.benchmark.compile_for.worker import shapes
from experiments.benchmark.copies import copies
from experiments.benchmark.programs import BOTH
from experiments.benchmark.registry import Benchmark
from experiments.benchmark.results import OURS
from experiments.benchmark.selection import load_rows, select
from experiments.compiled_for import description, model
from experiments.compiled_for.kernels import program
from experiments.compiled_for.workers import Answer, Task, serve

PRECISIONS = {"float32": "highest", "tf32": "tensorfloat32"}
"""Of products, by the dtype of the benchmark."""


def answer(task: Task) -> Answer:
    """{"suite", "row", "mode", "dtype", "peers", "megabytes", "model"} to {"predicted"}.

    What is predicted is a dictionary for each candidate, {} where there is no model.
    """
    with jax.default_matmul_precision(PRECISIONS.get(task["dtype"])):
        found = _found(task)
    jax.clear_caches()
    return {"predicted": found}


def predicted(compiled: jax.stages.Compiled, device: description.Description) -> dict[str, Any]:
    """What the model says of a program of the device itself; {} if its text cannot be read."""
    try:
        found = program(compiled.as_text() or "")
    except ValueError:
        return {}
    return {
        "seconds": model.seconds(found, device),
        "kernels": found.launches,
        "bytes": found.bytes,
        "kinds": dict(found.kinds),
    }


def _found(task: Task) -> dict[str, dict[str, Any]]:
    row = _rows(task["suite"])[task["row"]]
    dtype = jnp.dtype("float32" if task["dtype"] == "tf32" else task["dtype"])
    arrays = shapes(row, dtype)
    arrays = copies(row, arrays, task["megabytes"]).lengthened(arrays)
    if task["mode"] == BOTH:
        output = jax.eval_shape(row.ours, *arrays)
        arrays.append(jax.ShapeDtypeStruct(output.shape, output.dtype))
    calls = {OURS: row.ours}
    calls |= {name: call for name, call in row.peers.items() if name in task["peers"]}
    return {
        name: _of(row, task["mode"], call, arrays, task["model"]) for name, call in calls.items()
    }


def _of(row: Benchmark, mode: str, call: Any, arrays: list, name: str) -> dict[str, Any]:
    try:
        function = programs.program(row.suite, mode, call, 1)
        compiled = jax.jit(function).lower(*arrays).compile()
    except Exception:  # which the measurement will tell
        return {}
    least = sum(math.prod(a.shape) * a.dtype.itemsize for a in [*arrays, *_given(function, arrays)])
    return {**predicted(compiled, description.load(name)), "least_bytes": least} if name else {}


def _given(function: Any, arrays: list) -> list:
    return jax.tree.leaves(jax.eval_shape(function, *arrays))


@functools.cache
def _rows(suite: str) -> Mapping[str, Benchmark]:
    load_rows(suite)
    return {row.name: row for row in select(suite, "")}


if __name__ == "__main__":
    serve(answer)
