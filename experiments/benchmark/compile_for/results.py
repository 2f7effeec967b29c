"""What was compiled, in memory and as JSON: a file for each device and version of JAX."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.benchmark import results as measured
from experiments.benchmark.results import OURS
from experiments.commands import files
from experiments.commands.command import UserError

FOLDER = "compiled_for"  # in that of the other results
WORSE = 1.05  # times the committed bytes or cycles: what is above is pointed out
_MOST_BYTES = 2**24


@dataclasses.dataclass(frozen=True)
class Figures:
    """What is known of one candidate in one mode; None or empty where it is not.

    Attributes:
      launches: kernels that run.
      kinds: how many of each kind.
      bytes: what they read and write.
      loads: values that windows and slices load.
      flops: of convolutions and products of matrices.
      temp_bytes: memory for what is computed on the way.
      seconds: modelled.
      cycles: of a TPU, modelled: those of the compiler's schedule, or what its bytes take.
      unscheduled: kernels of which there is no schedule to read.
      compile_seconds: to trace, lower and compile.
      error: why it could not be compiled, in one line.
    """

    launches: int | None = None
    kinds: Mapping[str, int] = dataclasses.field(default_factory=dict)
    bytes: int | None = None
    loads: int | None = None
    flops: int | None = None
    temp_bytes: int | None = None
    seconds: float | None = None
    cycles: int | None = None
    unscheduled: int | None = None
    compile_seconds: float | None = None
    error: str = ""


@dataclasses.dataclass(frozen=True)
class Result:
    """One row in one mode.

    Attributes:
      suite, family, name, mode, dtype: which.
      figures: by candidate.
      least_bytes: each array that goes in or comes out once; of forward and backward together, the
        inputs, the outputs, their cotangent and the gradients.
    """

    suite: str
    family: str
    name: str
    mode: str
    dtype: str
    figures: Mapping[str, Figures]
    least_bytes: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What a later result replaces."""
        return self.name, self.mode, self.dtype

    @property
    def failed(self) -> bool:
        """Whether our own program could not be compiled."""
        return bool(self.figures[OURS].error)

    def ratio(self, field: str, peer: str) -> float | None:
        """Ours over the peer's, of "seconds", "bytes" or another field; below 1 ours is less."""
        ours = getattr(self.figures[OURS], field)
        other = getattr(self.figures.get(peer, Figures()), field)
        return ours / other if ours and other else None

    @property
    def times_least(self) -> float | None:
        """Our bytes over those that must be moved."""
        ours = self.figures[OURS].bytes
        return ours / self.least_bytes if ours and self.least_bytes else None


def path_of(folder: Path, device: str, jax_version: str) -> Path:
    """The file of a device and a version of JAX."""
    return folder / FOLDER / f"{device}-jax-{jax_version}.json"


def of(row: Mapping[str, Any]) -> Result:
    """A result of what JSON gives."""
    figures = {name: Figures(**found) for name, found in row["figures"].items()}
    return Result(**{**row, "figures": figures})


def read(path: Path) -> tuple[dict[str, Any], list[Result]]:
    """What `to_json` of the other results wrote of these.

    Raises:
      UserError: it is no such file.
    """
    try:
        head = files.parse(files.read(path, _MOST_BYTES))
        return head, [of(row) for row in head.pop("results")]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is no file of results ({error}); delete it or mend it") from None


def regressions(new: Sequence[Result], committed: Sequence[Result]) -> list[str]:
    """A line for each program of ours that moves, takes or launches more than the committed one.

    Bytes and cycles by more than 5 %; kernels by any.
    """
    before = {result.key: result for result in committed}
    lines = []
    for result in new:
        old = before.get(result.key)
        if old is None or OURS not in old.figures:
            continue
        now, then = result.figures[OURS], old.figures[OURS]
        for field, most in (("bytes", WORSE), ("cycles", WORSE), ("launches", 1.0)):
            one, other = getattr(now, field), getattr(then, field)
            if one and other and one > most * other:
                name = "kernels" if field == "launches" else field
                lines.append(
                    f"{result.name}, {result.mode}, {result.dtype}: {one:,} {name}, {other:,} as "
                    f"committed ({one / other - 1:+.0%})"
                )
    return lines


merged = measured.merged
to_json = measured.to_json
write = measured.write
