"""The tables of the two READMEs, written from the committed results: no number in them is typed."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from experiments.benchmark.programs import BOTH, EPOCH, FORWARD, SCAN, STEP
from experiments.benchmark.registry import ROWS
from experiments.benchmark.results import OURS, Result, geometric_mean, read, scan_cost
from experiments.commands.command import UserError

BEGIN = "<!-- benchmark: written by `python -m experiments.benchmark readme` -->"
END = "<!-- benchmark: end -->"
TARGET = 0.8  # times as fast as lax; a row below is a missed target, and above it may be noise

File = tuple[Path, dict[str, Any], Sequence[Result]]  # with its head and its results


def update(readme: Path, details: Path, folder: Path) -> int:
    """Replaces what stands between the markers of both files; returns the number of results files.

    Raises:
      UserError: a file can't be read or written, the markers are not there, or there are no
        results.
    """
    for option, path in (("--readme", readme), ("--details", details)):
        _around(option, path, (BEGIN, END))
    files = [(path, *read(path)) for path in sorted(folder.glob("*.json"))]
    if not files:
        raise UserError(
            f"--results {folder} holds no file; make one with: "
            "python -m experiments.benchmark --in-scan --save"
        )
    sections = [section(head, results, path) for path, head, results in files]
    replace("--readme", readme, short(files))
    replace("--details", details, "\n\n".join([LEGEND, *sections]))
    return len(files)


def replace(option: str, path: Path, body: str, marks: tuple[str, str] = (BEGIN, END)) -> None:
    """Puts `body` between the markers of a file.

    Raises:
      UserError: it can't be read or written, or the markers are not there.
    """
    before, after = _around(option, path, marks)
    try:
        path.write_text(f"{before}{marks[0]}\n\n{body}\n\n{marks[1]}{after}")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


def _around(option: str, path: Path, marks: tuple[str, str]) -> tuple[str, str]:
    """What stands before and after the markers of a file."""
    begin, end = marks
    try:
        text = path.read_text()
    except OSError as error:
        raise UserError(f"{option} {path} cannot be read: {error.strerror}") from None
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise UserError(
            f"{option} {path} must hold these two lines once, in this order: {begin} and {end}"
        )
    return text.split(begin)[0], text.split(end)[1]


def short(files: Sequence[File]) -> str:
    """For each device and dtype one table: a line a family, three columns a version of JAX."""
    tables: dict[tuple[str, str], dict[str, list[Result]]] = {}
    for _, head, results in files:
        for dtype, rows in _by_dtype(results).items():
            versions = tables.setdefault((head["device"], dtype), {})
            versions[f"JAX {head['versions']['jax']}"] = rows
    return "\n\n".join(
        f"{device}, {dtype}:\n\n{_short_table(versions)}"
        for (device, dtype), versions in tables.items()
    )


def _short_table(versions: dict[str, list[Result]]) -> str:
    columns = [f"lax, {jax} | in a scan | PyTorch" for jax in versions]
    lines = [f"| family | rows | {' | '.join(columns)} |", "|---" * (2 + 3 * len(columns)) + "|"]
    grouped = [_grouped(rows) for rows in versions.values()]
    for family in dict.fromkeys(itertools.chain.from_iterable(grouped)):
        groups = [groups.get(family, []) for groups in grouped]
        count = max(len({row.name for row in rows}) for rows in groups)
        cells = [cell for rows in groups for cell in _short_cells(rows)]
        lines.append(f"| {family} | {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _short_cells(rows: Sequence[Result]) -> tuple[str, str, str]:
    """Value and gradient beside lax or Flax, the same in a scan, and beside PyTorch."""
    plain = _plain(rows)
    once = [row for row in rows if row.mode == (STEP if plain == "flax" else BOTH)]
    inside = [row for row in rows if row.mode in (SCAN, EPOCH)]
    epochs = [row for row in rows if row.mode == EPOCH]
    return _mean(once, plain), _mean(inside, plain), _mean([*once, *epochs], "torch")


LEGEND = (
    "Times as fast as the peer: above 1 jaxcnn is faster. Geometric mean over the rows of a "
    "family, and in brackets the row that gains least; *with gradient* is the forward and the "
    "backward pass, a training step for networks, and beside PyTorch an epoch of steps too. *In a "
    "scan* is the time of a step inside `lax.scan` over the time of the same step outside."
)


def section(head: dict[str, Any], results: Sequence[Result], path: Path) -> str:
    """What is said of one file: a line per family, then one per row, folded."""
    parts = []
    for dtype, rows in _by_dtype(results).items():
        parts.append(f"**{_title(head)}, {dtype}**\n\n{_families(rows)}")
        parts.append(
            f"<details><summary>every row, milliseconds (`{path.name}`)</summary>\n\n"
            f"{_rows(rows)}\n\n</details>"
        )
    return "\n\n".join(parts)


def _by_dtype(results: Sequence[Result]) -> dict[str, list[Result]]:
    dtypes = dict.fromkeys(result.dtype for result in results)
    return {dtype: [r for r in results if r.dtype == dtype] for dtype in dtypes}


def _grouped(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The rows of each family, and those of all primitives."""
    families = dict.fromkeys(result.family for result in results)
    groups = {family: [r for r in results if r.family == family] for family in families}
    primitives = [result for result in results if result.suite == "primitives"]
    if len({r.family for r in primitives}) > 1:
        groups["**all primitives**"] = primitives
    return groups


def _plain(rows: Sequence[Result]) -> str:
    """The peer that runs on JAX."""
    return "flax" if rows and rows[0].suite == "models" else "lax"


def _title(head: dict[str, Any]) -> str:
    versions = head["versions"]
    names = {"python": "Python", "jax": "JAX", "flax": "Flax", "torch": "PyTorch"}
    listed = ", ".join(f"{names[k]} {versions[k]}" for k in names if k in versions)
    return f"{head['device']}; {listed}"


def _families(results: Sequence[Result]) -> str:
    head = "| family | rows | lax | lax, with gradient | PyTorch | PyTorch, with gradient | "
    lines = [head + "in a scan | lax in a scan |", "|---" * 8 + "|"]
    for family, rows in _grouped(results).items():
        plain = _plain(rows)
        step = STEP if plain == "flax" else BOTH
        full = [r for r in rows if r.mode == step]
        forward = [r for r in rows if r.mode == FORWARD]
        epochs = [r for r in rows if r.mode == EPOCH]  # a scan with lax and Flax, none with PyTorch
        names = list(dict.fromkeys(r.name for r in rows))
        cells = [
            _mean(forward, plain),
            _mean(full, plain) + (" (Flax)" if plain == "flax" else ""),
            _mean(forward, "torch"),
            _mean([*full, *epochs], "torch"),
            _scan(rows, names, OURS),
            _scan(rows, names, plain),
        ]
        lines.append(f"| {family} | {len(names)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(results: Iterable[Result], peer: str) -> str:
    ratios = [ratio for result in results if (ratio := result.speedup(peer))]
    mean = geometric_mean(ratios)
    return "" if mean is None else f"{_digits(mean)} x ({_digits(min(ratios))})"


def _scan(results: Sequence[Result], names: Iterable[str], candidate: str) -> str:
    costs = [cost for name in names if (cost := scan_cost(results, name, candidate))]
    mean = geometric_mean(costs)
    return "" if mean is None else f"{_digits(mean)} x ({_digits(max(costs))})"


def _digits(ratio: float) -> str:
    """Two digits, without an exponent."""
    return f"{float(f'{ratio:.2g}'):g}"


def _rows(results: Sequence[Result]) -> str:
    head = "| row | jaxcnn | lax or Flax | PyTorch | of the ceiling | in a scan | lax in a scan | |"
    lines = [head, "|---" * 8 + "|"]
    for name in dict.fromkeys(result.name for result in results):
        modes = {r.mode: r for r in results if r.name == name}
        full = modes.get(BOTH) or modes.get(STEP) or modes[EPOCH]
        pair = [modes[FORWARD], full] if FORWARD in modes else [full]
        plain = "flax" if full.suite == "models" else "lax"
        share = "" if full.ceiling_share is None else f"{full.ceiling_share:.0%}"
        cells = [
            *(_times(pair, who) for who in (OURS, plain, "torch")),
            share,
            *(_cost(results, name, who) for who in (OURS, plain)),
            _remark(full, plain),
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _times(pair: Sequence[Result], candidate: str) -> str:
    """Forward / forward and backward."""
    figures = [result.figures.get(candidate) for result in pair]
    if not any(figures):
        return ""
    show: Callable[[float], str] = "{:.3g}".format
    return " / ".join(show(1e3 * f.seconds) if f and f.seconds else "none" for f in figures)


def _cost(results: Sequence[Result], name: str, candidate: str) -> str:
    cost = scan_cost(results, name, candidate)
    return "" if cost is None else f"{_digits(cost)} x"


def _remark(result: Result, plain: str) -> str:
    note = ROWS[result.name].note if result.name in ROWS else ""
    ratio = result.speedup(plain)
    slower = ratio is not None and ratio < TARGET
    return note or ("slower" if slower else "")
