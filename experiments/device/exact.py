"""Values and gradients of every primitive and every algorithm, held against the reference.

Each row is one program (`jaxcnn/testing/twice.py`), run twice. Float32 rows are run with products
of float32 and, where that makes another program, with the device's own, TF32 on a GPU. Tolerances
are relative to the largest value: 1e-5 of float32, 5e-3 of TF32, 5e-2 of bfloat16, more where a
case says so.
"""

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

from experiments.commands.command import UserError
from experiments.compiled_for.workers import answers
from experiments.device.budget import Budget, by_turns
from jaxcnn import testing

WORKER = "experiments.device.exact_worker"
# What is compiled here is compiled once: a cache would cost more than it saves.
ENVIRONMENT = {"JAX_ENABLE_COMPILATION_CACHE": "false"}
WIDTHS = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Checked:
    """One program of a row.

    Attributes:
      primitive, case, dtype: which row.
      precision: of products.
      errors: the largest relative error of the values and of the gradients.
      same_bits: whether the second run gave the bits of the first; None if it did not come to that.
      passed: all agrees.
      message: what does not.
      seconds: with compiling and the reference.
    """

    primitive: str
    case: str
    dtype: str
    precision: str
    errors: dict[str, float]
    same_bits: bool | None
    passed: bool
    message: str
    seconds: float


@dataclasses.dataclass
class Exact:
    """What was compared.

    Attributes:
      checked: the programs.
      not_run: rows that did not fit into the time.
    """

    checked: list[Checked] = dataclasses.field(default_factory=list)
    not_run: list[str] = dataclasses.field(default_factory=list)


def tasks(filter: str) -> list[dict[str, Any]]:
    """The rows, all by their own choice first, then those that can be had by name, by every name.

    Args:
      filter: a primitive's name, or any part of "primitive: case"; empty for every row.
    Raises:
      UserError: it fits none.
    """
    try:
        rows = testing.select(filter)
    except ValueError as error:
        raise UserError(str(error).replace("select: `filter`", "--case")) from None
    cases = {(case.primitive, case.name): case for case, _ in rows}
    found = []
    for case in cases.values():
        dtypes = [name for name in WIDTHS if name in case.dtypes] or [case.dtypes[0]]
        found += [{"primitive": case.primitive, "case": case.name, "dtype": d} for d in dtypes]
    found = by_turns(found, lambda task: (task["primitive"], task["dtype"]))
    named = [task for task in found if _by_name(cases[task["primitive"], task["case"]].fn)]
    first = [{**task, "algorithms": False} for task in found]
    return first + [{**task, "algorithms": True} for task in named]


def compare(filter: str, workers: int, budget: Budget, into: Exact) -> Iterator[None]:
    """Compares until the time is up; yields after each row.

    Args:
      filter: as in `tasks`.
      workers: processes.
      budget: of this part.
      into: gets what is found.
    """
    wanted = tasks(filter)
    into.not_run = [words(task) for task in wanted]
    for task, answer in answers(WORKER, wanted, ENVIRONMENT, workers, budget.left):
        into.not_run.remove(words(task))
        outcomes = answer.get("outcomes")
        if outcomes is None:
            key = (task["primitive"], task["case"], task["dtype"])
            into.checked.append(Checked(*key, "", {}, None, False, answer["error"], 0.0))
        else:
            into.checked += [Checked(**outcome) for outcome in outcomes]
        yield


def words(task: dict[str, Any]) -> str:
    """A row as a person would call it."""
    way = ", by every algorithm" if task["algorithms"] else ""
    return f"{task['primitive']}: {task['case']} ({task['dtype']}){way}"


def _by_name(fn: Any) -> bool:
    """Whether an algorithm can be named, and none is."""
    try:
        named = "algorithm" in inspect.signature(fn).parameters
    except ValueError:  # of a builtin
        return False
    return named and "algorithm" not in getattr(fn, "keywords", {})
