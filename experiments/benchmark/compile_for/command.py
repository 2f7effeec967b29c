"""Compiles rows for a device that is not here, prints and draws the ratios, keeps the results."""

import dataclasses
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from experiments.benchmark import picture as pictures
from experiments.benchmark import results as measured
from experiments.benchmark.compile_for import picture, results, table
from experiments.benchmark.compile_for.results import Figures, Result
from experiments.benchmark.registry import Benchmark
from experiments.benchmark.results import OURS
from experiments.commands import command, tables
from experiments.commands.command import UserError
from experiments.commands.phases import phase
from experiments.compiled_for import description, model, workers
from experiments.compiled_for.description import Description

WORKER = "experiments.benchmark.compile_for.worker"
WHEELS = ("jax-cuda13-pjrt", "libtpu")


@dataclasses.dataclass(frozen=True)
class Request:
    """What is compiled and what becomes of it.

    Attributes:
      device: a name or a file.
      dtype: of the arrays.
      peers: names of peers.
      json, picture: files to write.
      save: whether the committed file is brought up to date.
      folder: of the committed files.
    """

    device: str
    dtype: str
    peers: Sequence[str]
    json: Path | None
    picture: Path | None
    save: bool
    folder: Path


def run(request: Request, rows: Sequence[Benchmark], target: Any) -> int:
    """Compiles; returns 1 if one of our own programs fails.

    Raises:
      UserError: what is needed is not installed, or a file can't be used.
    """
    device = description.load(request.device)
    if device.missing:
        raise UserError(device.missing)
    for path in (request.json, request.picture):
        if path:
            command.reserve(path)
    committed = results.path_of(request.folder, device.name, jax.__version__)
    before = results.read(committed)[1] if committed.exists() else []
    found = compile_all(rows, request, device)
    table.show(found, target)
    for line in results.regressions(found, before):
        tables.say(target, f"regression: {line}", style="yellow")
    about = head(device)
    title = f"compiled for {device.title}, JAX {jax.__version__}"
    tables.say(target, f"{title}, {request.dtype}; nothing was run")
    if request.json:
        results.write(request.json, results.to_json(about, found))
    if request.picture:
        pictures.save(picture.draw(found, title), request.picture)
    if request.save:
        whole = results.merged(before, found)
        results.write(committed, results.to_json(about, whole))
        pictures.save(picture.draw(whole, title), committed.with_suffix(".png"))
        tables.say(target, f"saved {committed}")
    return 1 if any(result.failed for result in found) else 0


def compile_all(rows: Sequence[Benchmark], request: Request, device: Description) -> list[Result]:
    """The results of all rows, in their order; a line is said as they are done."""
    name = request.device if Path(request.device).suffix else device.name
    path = str(Path(name).resolve()) if Path(name).suffix else name
    tasks = [
        dict(suite=row.suite, row=row.name, dtype=request.dtype, device=path,
             peers=list(request.peers))
        for row in rows
    ]  # fmt: skip
    found: dict[str, list[Result]] = {}
    saying, by_name = f"compiling {len(rows)} rows for {device.title}", {r.name: r for r in rows}
    with phase("compile", saying, total=len(rows)) as shown:
        for task, answer in workers.answers(WORKER, tasks, device.environment):
            row = by_name[task["row"]]
            found[row.name] = _results(row, task["dtype"], answer)
            shown.move(len(found), f"compiled {len(found)} of {len(rows)}: {row.name}")
            shown.leave()
    return [result for row in rows for result in found[row.name]]


def head(device: Description) -> dict[str, Any]:
    """What the results come from."""
    wheels = {name: version for name in WHEELS if (version := _version(name))}
    assumed = {"launch": model.LAUNCH, "share_of_peak": model.SHARE_OF_PEAK}
    figures = {name: getattr(device, name) for name in ("bandwidth", "loads", "clock", "peak")}
    return {
        "compiled_for": device.title,
        "device": device.name,
        "versions": measured.versions(None) | wheels,
        "model": assumed | figures,
    }


def _results(row: Benchmark, dtype: str, answer: workers.Answer) -> list[Result]:
    if "results" in answer:
        return [results.of(found) for found in answer["results"]]
    failed = {OURS: Figures(error=answer["error"])}
    return [Result(row.suite, row.family, row.name, "compiling", dtype, failed)]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
