"""The tables of the two READMEs, written from what was compiled: no number in them is typed."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from experiments.benchmark import readme
from experiments.benchmark.compile_for.notes import NOTES
from experiments.benchmark.compile_for.results import FOLDER, Figures, Result, read
from experiments.benchmark.programs import FORWARD
from experiments.benchmark.results import OURS, geometric_mean

BEGIN = "<!-- compiled for: written by `python -m experiments.benchmark readme` -->"
END = "<!-- compiled for: end -->"
NOT_COMPILED = (
    "The others were not compiled, for a step of theirs takes the compiler minutes of a CPU:"
)
LEGEND = (
    "Ours over plain lax's (networks: Flax's), forward and backward: below 1 jaxcnn takes less. "
    "Geometric mean over the rows of a family, and in brackets the row that takes most. *Kernels* "
    "and *MB* are those of the compiled program, ours / lax's; *least* are the MB that must be "
    "moved, each array in or out once; *time* is modelled from them (H100), or the cycles of the "
    "compiler's own schedule and of the bytes (TPU)."
)

File = tuple[Path, dict[str, Any], Sequence[Result]]


def update(front: Path, details: Path, folder: Path) -> int:
    """Replaces what stands between the markers of both; returns the number of results files.

    Without such files nothing is replaced, and no markers need be there.

    Raises:
      UserError: a file can't be read or written, or the markers are not there.
    """
    files = [(path, *read(path)) for path in sorted((folder / FOLDER).glob("*.json"))]
    if files:
        names = rows_of(files)
        sections = [section(*file, names) for file in files]
        marks = BEGIN, END
        readme.replace("--readme", front, short(files), marks)
        readme.replace("--details", details, "\n\n".join([LEGEND, *sections]), marks)
    return len(files)


def short(files: Sequence[File]) -> str:
    """A line for each device and dtype, two columns a version of JAX."""
    versions = list(dict.fromkeys(_version(head) for _, head, _ in files))
    columns = [f"time, {version} | bytes" for version in versions]
    lines = [
        f"| compiled for | rows | {' | '.join(columns)} |",
        "|---" * (2 + 2 * len(columns)) + "|",
    ]
    found: dict[tuple[str, str], dict[str, list[Result]]] = {}
    for _, head, results in files:
        for dtype, rows in by_dtype(_full(results)).items():
            compared = [row for row in rows if row.ratio("seconds", peer(row))]
            found.setdefault((head["compiled_for"], dtype), {})[_version(head)] = compared
    counts = {key: max(map(len, of.values())) for key, of in found.items()}
    most = max(counts.values(), default=0)
    for (device, dtype), by_version in found.items():
        count = counts[device, dtype]
        pairs = [
            (by_version.get(version, []), f) for version in versions for f in ("seconds", "bytes")
        ]
        cells = " | ".join(mean(rows, field) for rows, field in pairs)
        rows = count if count == most else f"{count} of {most}"
        lines.append(f"| {device}, {dtype} | {rows} | {cells} |")
    return "\n".join(lines)


def rows_of(files: Sequence[File]) -> list[str]:
    """The primitives' rows that some file has."""
    found = (row.name for *_, rows in files for row in rows if row.suite == "primitives")
    return list(dict.fromkeys(found))


def section(
    path: Path, head: dict[str, Any], results: Sequence[Result], names: Sequence[str] = ()
) -> str:
    """What is said of one file: a line per family, then one per row, folded.

    `names` are of the rows that it could have; which it lacks is said.
    """
    parts = []
    for dtype, rows in by_dtype(_full(results)).items():
        title = f"compiled for {head['compiled_for']}, {_version(head)}, {dtype}"
        parts.append(f"**{title}**\n\n{_families(rows)}")
        there = {row.name for row in rows}
        if lacking := [name for name in names if name not in there]:
            parts.append(
                f"{len(names) - len(lacking)} of {len(names)} rows. {NOT_COMPILED} "
                f"{'; '.join(lacking)}."
            )
        parts.append(
            f"<details><summary>every row (`{path.name}`)</summary>\n\n{_rows(rows)}\n\n</details>"
        )
    return "\n\n".join(parts)


def by_dtype(results: Iterable[Result]) -> dict[str, list[Result]]:
    """The results of each."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.dtype, []).append(result)
    return groups


def peer(result: Result) -> str:
    """What a row is held against."""
    return "flax" if result.suite == "models" else "lax"


def mean(results: Sequence[Result], field: str) -> str:
    """The mean ratio, and the largest; empty if none is known."""
    ratios = [ratio for row in results if (ratio := row.ratio(field, peer(row)))]
    found = geometric_mean(ratios)
    return "" if found is None else f"{found:.2f} x ({max(ratios):.2f})"


def _full(results: Iterable[Result]) -> list[Result]:
    """Those with a backward pass."""
    return [result for result in results if result.mode != FORWARD]


def _version(head: dict[str, Any]) -> str:
    return f"JAX {head['versions']['jax']}"


def _families(rows: Sequence[Result]) -> str:
    lines = ["| family | rows | time | bytes | kernels | bytes over the least |", "|---" * 6 + "|"]
    families = dict.fromkeys(row.family for row in rows)
    groups = {family: [row for row in rows if row.family == family] for family in families}
    primitives = [row for row in rows if row.suite == "primitives"]
    if len(groups) > 1:
        groups["**all primitives**"] = primitives
    for family, group in groups.items():
        least = geometric_mean(row.times_least for row in group)
        cells = [mean(group, field) for field in ("seconds", "bytes", "launches")]
        cells.append("" if least is None else f"{least:.2f} x")
        lines.append(f"| {family} | {len(group)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _rows(rows: Sequence[Result]) -> str:
    cycles = any(row.figures[OURS].cycles for row in rows)
    notes = NOTES["tpu" if cycles else "cuda"]
    unit = "thousand cycles" if cycles else "us"
    lines = [f"| row | kernels | MB | least | {unit} | time | |", "|---" * 7 + "|"]
    for row in rows:
        ours, other = row.figures[OURS], row.figures.get(peer(row), Figures())
        pair = ours, other
        times = [1e-3 * f.cycles if f.cycles else 1e6 * (f.seconds or 0) for f in pair]
        ratio = row.ratio("seconds", peer(row))
        cells = [
            " / ".join(str(f.launches or "none") for f in pair),
            " / ".join(f"{f.bytes / 1e6:.1f}" if f.bytes else "none" for f in pair),
            f"{(row.least_bytes or 0) / 1e6:.1f}",
            " / ".join(f"{time:.1f}" if time else "none" for time in times),
            "" if ratio is None else f"{ratio:.2f} x",
            notes.get(row.name, ""),
        ]
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return "\n".join(lines)
