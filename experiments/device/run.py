"""The parts, one after another, each within its share of the time."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmark import ceiling, check, results
from experiments.benchmark.ceiling import Ceiling
from experiments.benchmark.table import console
from experiments.commands import phases, stopping
from experiments.commands.command import UserError, require
from experiments.commands.phases import Phase, phase
from experiments.compiled_for import description
from experiments.device import epochs, exact, report, speed
from experiments.device.ahead import PRECISIONS
from experiments.device.budget import Budget, end_at
from experiments.device.report import Report

WEIGHTS = {"exact": 0.35, "epochs": 0.15, "speed": 0.5}
"""Of the parts; those to come share what is left by them."""
SAYING = {
    "exact": "comparing with the reference",
    "epochs": "training for some epochs",
    "speed": "measuring rows",
}
KNOWN = {"H200": "h200", "H100": "h100"}
WRITE_EVERY = 5.0  # seconds


def run(options: Any, folder: Path) -> int:
    """Runs the parts that were chosen.

    Args:
      options: of the command.
      folder: for what is only needed meanwhile.
    Returns:
      The exit code.
    """
    budget = Budget(60 * options.minutes)
    target = console()
    try:
        backend = jax.default_backend()
    except RuntimeError as error:
        first = str(error).partition("\n")[0]
        raise UserError(f"--platform {options.platform} is not there for JAX: {first}") from None
    model = options.model or next((n for k, n in KNOWN.items() if k in results.device()), "none")
    known = None if model == "none" else description.load(model)
    dtypes = _dtypes(options.dtypes, backend)
    found = Report(
        {
            "device": results.device(),
            "versions": results.versions(None),
            "model": model,
            "minutes": options.minutes,
            "megabytes": options.megabytes,
            "parts": list(options.chosen),
        }
    )
    parts: dict[str, Callable[[Budget], Iterator[Any]]] = {
        "exact": lambda part: exact.compare(options.case, options.workers, part, found.exact),
        "epochs": lambda part: _epochs(options.images, known, part, found),
        "speed": lambda part: _speed(options, dtypes, model, backend, folder, part, found),
    }
    if "exact" in options.chosen:
        exact.tasks(options.case)  # a filter that fits nothing is told before the work begins

    def keep() -> None:
        found.write(options.file)

    def give_up() -> None:
        phases.close()
        found.failed["program"] = "something did not end in time"
        keep()
        report.show(found, target)

    def conclude() -> None:
        keep()
        report.show(found, target)
        target.print(f"{found.head['device']}; all of it is in {options.file}", highlight=False)

    timer = end_at(budget, give_up)
    try:
        with stopping.undoing(conclude):
            for place, name in enumerate(options.chosen):
                begun = time.monotonic()
                weights = sum(WEIGHTS[each] for each in options.chosen[place:])
                share = Budget(budget.left * WEIGHTS[name] / weights)
                try:
                    with phase(name, SAYING[name]) as shown:
                        _through(parts[name](share), keep, shown)
                except Exception as error:  # what the other parts find is worth having
                    found.failed[name] = f"{type(error).__name__}: {error}"
                found.head.setdefault("seconds", {})[name] = time.monotonic() - begun
                keep()
            found.whole = True
    finally:
        timer.cancel()
        keep()
    conclude()
    return int(found.wrong)


def _through(steps: Iterator[Any], keep: Callable[[], Any], shown: Phase) -> None:
    """Goes through the steps of a part, and keeps what is known now and then."""
    written = time.monotonic()
    with contextlib.closing(steps):
        for number, _ in enumerate(steps, 1):
            shown.move(number, f"{shown.saying}, {number} done")
            if time.monotonic() - written > WRITE_EVERY:
                keep()
                written = time.monotonic()


def _dtypes(given: str, backend: str) -> tuple[str, ...]:
    names = given or ("bfloat16,tf32" if backend == "gpu" else "bfloat16,float32")
    dtypes = tuple(name.strip() for name in names.split(",") if name.strip())
    for name in dtypes:
        known = ", ".join(check.TOLERANCES)
        require(name in check.TOLERANCES, "dtypes", given, f"must be names out of: {known}")
        if name == "float64":
            jax.config.update("jax_enable_x64", True)
    require(bool(dtypes), "dtypes", given, "must name one at least")
    return dtypes


def _epochs(
    images: int, known: description.Description | None, budget: Budget, found: Report
) -> Iterator[None]:
    count = len(epochs.TRAININGS)
    for training in epochs.TRAININGS:
        found.epochs.append(epochs.run(training, images, known, budget.part(1 / count)))
        yield


def _speed(
    options: Any, dtypes: tuple[str, ...], model: str, backend: str, folder: Path, budget: Budget,
    found: Report,
) -> Iterator[None]:  # fmt: skip
    best = []
    for name in dtypes:
        with jax.default_matmul_precision(PRECISIONS.get(name)):
            best.append(ceiling.measure(jnp.dtype("float32" if name == "tf32" else name)))
    found.speed.ceilings = {
        name: {"flops": one.flops, "bytes": one.bytes}
        for name, one in zip(dtypes, best, strict=True)
    }
    top: Ceiling = best[0]
    for one in best[1:]:
        top = top.best(one)
    ways = speed.Ways(
        options.filter, dtypes, options.megabytes, "" if model == "none" else model,
        options.workers, top,
    )  # fmt: skip
    torch = speed.torch_peer(options.torch_python, "gpu" if backend == "gpu" else "cpu", folder)
    if torch:
        found.head["versions"]["torch"] = torch.about["version"]
    try:
        yield from speed.run(ways, torch, budget, found.speed)
    finally:
        if torch:
            torch.close()
