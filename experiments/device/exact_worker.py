"""Compares a row on the device: a process of its own, see `compiled_for/workers.py`."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import jax

from experiments.compiled_for.workers import Answer, Task, serve
from jaxcnn import testing
from jaxcnn.testing import twice
from jaxcnn.testing.algorithms import by_algorithm
from jaxcnn.testing.registry import Case

CLEAR_EVERY = 32  # rows: compiled programs fill gigabytes in the end
_ANSWERED = itertools.count(1)


def answer(task: Task) -> Answer:
    """{"primitive", "case", "dtype", "algorithms"} to {"outcomes"}, one for each program."""
    case = testing.primitives()[task["primitive"]].cases[task["case"]]
    cases = [*by_algorithm(case, case.arrays())] if task["algorithms"] else [case]
    found = [outcome for each in cases for outcome in outcomes(each, task["dtype"])]
    if next(_ANSWERED) % CLEAR_EVERY == 0:
        jax.clear_caches()
    return {"outcomes": found}


def outcomes(case: Case, dtype: str) -> Iterator[dict[str, Any]]:
    """What is told of each precision."""
    precisions = twice.PRECISIONS if dtype == "float32" else {"default": None}
    for precision, outcome in twice.compare_twice(case, dtype, precisions).items():
        errors = dict(outcome.errors)
        bits = errors.pop("bits", None)
        yield {
            "primitive": outcome.primitive,
            "case": outcome.case,
            "dtype": dtype,
            "precision": precision,
            "errors": {k: v if math.isfinite(v) else None for k, v in errors.items()},
            "same_bits": None if bits is None else not bits,
            "passed": outcome.passed,
            "message": outcome.message,
            "seconds": round(outcome.seconds, 3),
        }


if __name__ == "__main__":
    serve(answer)
