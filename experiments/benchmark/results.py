"""Results in memory and as JSON: a file for each device and version of JAX."""

import contextlib
import dataclasses
import json
import math
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from experiments.benchmark.programs import SCAN, STEP
from experiments.commands import files
from experiments.commands.command import UserError
from experiments.training.runs import available_cores

OURS = "jaxcnn"
FOLDER = Path(__file__).parent / "results"
_MOST_BYTES = 2**24  # of a file; ours have some hundred thousand
COMPILE_TARGET = 2.0  # times as long as the quickest peer, at most
WORSE = 0.85  # of a committed ratio: what is below is pointed out
PACKAGES = ("jax", "jaxlib", "flax", "numpy", "jaxcnn")


@dataclasses.dataclass(frozen=True)
class Figures:
    """What is known of one candidate in one mode; None or empty where it is not.

    Attributes:
      seconds: median of a call, or of an iteration in a scan.
      spread: half the distance between the quartiles, as a share of the median.
      samples: how many there are.
      compile_seconds: of CPU, to trace, lower and compile with nothing cached.
      temp_bytes: memory for what is computed on the way.
      difference: from our results, as a share of the largest value.
      wrong: that is more than the tolerance; it is not timed.
      error: why it could not be run, in one line.
    """

    seconds: float | None = None
    spread: float | None = None
    samples: int = 0
    compile_seconds: float | None = None
    temp_bytes: int | None = None
    difference: float | None = None
    wrong: bool = False
    error: str = ""


@dataclasses.dataclass(frozen=True)
class Result:
    """One row in one mode.

    Attributes:
      suite, family, name, mode, dtype: which.
      figures: by candidate.
      flops: operations; None if not counted.
      moved_bytes: bytes that must be moved.
      ceiling_share: the least time that the machine could take, as a share of ours.
      cores_taken: cores that other processes kept busy meanwhile.
      compile_ratio: CPU seconds of our compilation over those of the quickest peer on JAX.
    """

    suite: str
    family: str
    name: str
    mode: str
    dtype: str
    figures: dict[str, Figures]
    flops: float | None = None
    moved_bytes: float | None = None
    ceiling_share: float | None = None
    cores_taken: float | None = None
    compile_ratio: float | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies it."""
        return self.name, self.mode, self.dtype

    @property
    def failed(self) -> bool:
        """Whether a result is wrong or our own program could not be run."""
        return any(f.wrong for f in self.figures.values()) or bool(self.figures[OURS].error)

    def speedup(self, peer: str) -> float | None:
        """How many times as fast as the peer we are."""
        other = self.figures.get(peer, Figures()).seconds
        ours = self.figures[OURS].seconds
        return other / ours if other and ours else None


def compile_ratio(figures: Mapping[str, Figures]) -> float | None:
    """How many times as long as the quickest peer on JAX our program took to compile."""
    others = [figures[peer].compile_seconds for peer in ("lax", "flax") if peer in figures]
    ours, least = figures[OURS].compile_seconds, min(filter(None, others), default=None)
    return ours / least if ours and least else None


def scan_cost(results: Iterable[Result], name: str, candidate: str) -> float | None:
    """Time of a row's step in a scan over its time outside; 1 would be perfect."""
    seconds = {
        r.mode: r.figures[candidate].seconds
        for r in results
        if r.name == name and candidate in r.figures and r.mode in (STEP, SCAN)
    }
    inside, outside = seconds.get(SCAN), seconds.get(STEP)
    return inside / outside if inside and outside else None


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Of those that are known; None if none is."""
    known = [value for value in values if value]
    return math.exp(sum(map(math.log, known)) / len(known)) if known else None


def device() -> str:
    """The device as a person would call it: that of JAX, or for a CPU its model and cores."""
    kind = jax.devices()[0].device_kind
    if jax.default_backend() != "cpu":
        return kind
    model = platform.processor() or platform.machine()
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        model = found.group(1).strip() if found else model
    except OSError:
        pass
    cores = available_cores()
    return f"{model}, {cores} core{'s' if cores > 1 else ''}"


def versions(torch: str | None) -> dict[str, str]:
    """Of what has a share in the results."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):  # used without being installed
            found[name] = metadata.version(name)
    return found | ({"torch": torch} if torch else {})


def path_of(folder: Path, device: str, jax_version: str) -> Path:
    """The file of a device and a version of JAX."""
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    return folder / f"{slug}-jax-{jax_version}.json"


def to_json(head: dict[str, Any], results: Sequence[Result]) -> str:
    """One object, a line per result, so that two files can be compared line by line."""
    lines = [json.dumps(_rounded(dataclasses.asdict(result))) for result in results]
    rows = ",\n".join(f"  {line}" for line in lines)
    first = json.dumps(head, indent=1).removesuffix("\n}")
    return f'{first},\n "results": [\n{rows}\n ]\n}}\n'


def read(path: Path) -> tuple[dict[str, Any], list[Result]]:
    """What `to_json` wrote.

    Raises:
      UserError: it is no such file.
    """
    try:
        head = files.parse(files.read(path, _MOST_BYTES))
        rows = [
            Result(**{**row, "figures": {k: Figures(**f) for k, f in row["figures"].items()}})
            for row in head.pop("results")
        ]
        return head, rows
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is no file of results ({error}); delete it or mend it") from None


def write(path: Path, text: str) -> None:
    """Writes a file, its folder too.

    Raises:
      UserError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; name another file") from None


def merged(old: Sequence[Result], new: Sequence[Result]) -> list[Result]:
    """The old results with the new ones in their places; others stand behind their family."""
    fresh = {result.key: result for result in new}
    both = [fresh.pop(result.key, result) for result in old]
    for result in fresh.values():
        alike = [place for place, each in enumerate(both) if each.family == result.family]
        both.insert(alike[-1] + 1 if alike else len(both), result)
    return both


def regressions(new: Sequence[Result], committed: Sequence[Result]) -> list[str]:
    """A line for each ratio that is more than 15 % worse than the committed one."""
    before = {result.key: result for result in committed}
    lines = []
    for result in new:
        old = before.get(result.key)
        if old is None:
            continue
        for peer in result.figures:
            now, then = result.speedup(peer), old.speedup(peer)
            if peer != OURS and now and then and now < WORSE * then:
                lines.append(
                    f"{result.name}, {result.mode}: {now:.2f} x {peer}, {then:.2f} x as committed "
                    f"({now / then - 1:+.0%})"
                )
    for name in dict.fromkeys(result.name for result in new):
        now, then = scan_cost(new, name, OURS), scan_cost(committed, name, OURS)
        if now and then and now > then / WORSE:
            lines.append(
                f"{name}: {now:.2f} x as long in a scan, {then:.2f} x as committed "
                f"({now / then - 1:+.0%})"
            )
    return lines


def _rounded(value: Any) -> Any:
    """Five digits are more than a measurement holds."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return value
