"""The README's table, written from the committed results, so that no number in it is typed."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from experiments.benchmark.programs import BOTH, EPOCH, FORWARD, STEP
from experiments.benchmark.registry import ROWS
from experiments.benchmark.results import OURS, Result, geometric_mean, read, scan_cost
from experiments.commands.command import UserError

BEGIN = "<!-- benchmark: written by `python -m experiments.benchmark readme` -->"
END = "<!-- benchmark: end -->"
TARGET = 0.8  # times as fast as lax; a row below is a missed target, and above it may be noise


def update(readme: Path, folder: Path) -> int:
    """Replaces what stands between the markers; returns the number of results files.

    Raises:
      UserError: the file can't be read or written, the markers are not there, or there are no
        results.
    """
    try:
        text = readme.read_text()
    except OSError as error:
        raise UserError(f"--readme {readme} cannot be read: {error.strerror}") from None
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UserError(
            f"--readme {readme} must hold these two lines once, in this order: {BEGIN} and {END}"
        )
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise UserError(
            f"--results {folder} holds no file; make one with: "
            "python -m experiments.benchmark --in-scan --save"
        )
    sections = [section(*read(path), path.relative_to(folder.parent)) for path in paths]
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    body = "\n\n".join([LEGEND, *sections])
    try:
        readme.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}")
    except OSError as error:
        raise UserError(f"--readme {readme} cannot be written: {error.strerror}") from None
    return len(paths)


LEGEND = (
    "Times as fast as the peer: above 1 jaxcnn is faster. Geometric mean over the rows of a "
    "family, and in brackets the row that gains least; *with gradient* is the forward and the "
    "backward pass, a training step for networks. *In a scan* is the time of a step inside "
    "`lax.scan` over the time of the same step outside."
)


def section(head: dict[str, Any], results: Sequence[Result], path: Path) -> str:
    """What is said of one file: a line per family, then one per row, folded."""
    dtypes = dict.fromkeys(result.dtype for result in results)
    parts = []
    for dtype in dtypes:
        rows = [result for result in results if result.dtype == dtype]
        parts.append(f"**{_title(head)}, {dtype}**\n\n{_families(rows)}")
        parts.append(
            f"<details><summary>every row, milliseconds (`{path.name}`)</summary>\n\n"
            f"{_rows(rows)}\n\n</details>"
        )
    return "\n\n".join(parts)


def _title(head: dict[str, Any]) -> str:
    versions = head["versions"]
    names = {"python": "Python", "jax": "JAX", "flax": "Flax", "torch": "PyTorch"}
    listed = ", ".join(f"{names[k]} {versions[k]}" for k in names if k in versions)
    return f"{head['device']}; {listed}"


def _families(results: Sequence[Result]) -> str:
    head = "| family | rows | lax | lax, with gradient | PyTorch | PyTorch, with gradient | "
    lines = [head + "in a scan | lax in a scan |", "|---" * 8 + "|"]
    families = list(dict.fromkeys(result.family for result in results))
    groups = {family: [r for r in results if r.family == family] for family in families}
    primitives = [result for result in results if result.suite == "primitives"]
    if len(dict.fromkeys(r.family for r in primitives)) > 1:
        groups["**all primitives**"] = primitives
    for family, rows in groups.items():
        plain = "flax" if rows[0].suite == "models" else "lax"
        wanted = (STEP, EPOCH) if rows[0].suite == "models" else (BOTH,)
        full = [r for r in rows if r.mode in wanted]
        forward = [r for r in rows if r.mode == FORWARD]
        names = list(dict.fromkeys(r.name for r in rows))
        cells = [
            _mean(forward, plain),
            _mean(full, plain) + (" (Flax)" if plain == "flax" else ""),
            _mean(forward, "torch"),
            _mean(full, "torch"),
            _scan(rows, names, OURS),
            _scan(rows, names, plain),
        ]
        lines.append(f"| {family} | {len(names)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(results: Iterable[Result], peer: str) -> str:
    ratios = [ratio for result in results if (ratio := result.speedup(peer))]
    mean = geometric_mean(ratios)
    return "" if mean is None else f"{mean:.2g} x ({min(ratios):.2g})"


def _scan(results: Sequence[Result], names: Iterable[str], candidate: str) -> str:
    costs = [cost for name in names if (cost := scan_cost(results, name, candidate))]
    mean = geometric_mean(costs)
    return "" if mean is None else f"{mean:.2g} x ({max(costs):.2g})"


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
    return "" if cost is None else f"{cost:.2g} x"


def _remark(result: Result, plain: str) -> str:
    note = ROWS[result.name].note if result.name in ROWS else ""
    ratio = result.speedup(plain)
    slower = ratio is not None and ratio < TARGET
    return note or ("slower" if slower else "")
