"""A compiled step looked at: memory, kernels, exchanges, modelled time."""

import dataclasses
import re
from typing import Any

import jax

from experiments.compile.exchange import Links, exchanged, waits
from experiments.compiled_for.kernels import Program, program
from experiments.compiled_for.target import memory

_USED = re.compile(r"Used ([\d.]+)([KMGT]?) of ", re.IGNORECASE)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Part:
    """Kernels of one kind, in one part of a step.

    Attributes:
      kind: of kernels.
      part: "forward", "backward" or "the rest".
      times: launches.
      bytes: moved.
      flops: of convolutions and products.
      seconds: modelled, as far as the step waits for them.
    """

    kind: str
    part: str
    times: int
    bytes: int
    flops: int
    seconds: float


def look(lowered: jax.stages.Lowered, links: Links) -> tuple[dict[str, Any], str]:
    """Compiles a step and reads the program.

    Args:
      lowered: the step.
      links: the devices.
    Returns:
      What was found, and the text of the program. A program that the compiler finds too large for
      the device is {"refused": bytes that it needs, None where the compiler does not say}.
    """
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        used = _USED.search(str(error))
        return {"refused": used and float(used[1]) * _UNITS[used[2].upper()]}, ""
    text = compiled.as_text() or ""
    read = program(text)
    waited = waits(read, links)
    taken = memory(compiled)
    return {
        "memory": dataclasses.asdict(taken) | {"total": taken.total},
        "kernels": read.launches,
        "bytes": read.bytes,
        "flops": read.flops,
        "exchanges": [dataclasses.asdict(each) for each in exchanged(read, links)],
        "seconds": sum(waited),
        "parts": [dataclasses.asdict(part) for part in parts(read, waited)],
    }, text


def parts(read: Program, waited: list[float]) -> list[Part]:
    """Where the time goes, the largest part first."""
    grouped: dict[tuple[str, str], Part] = {}
    for kernel, seconds in zip(read.kernels, waited, strict=True):
        key = kernel.kind, _part(kernel.source)
        old = grouped.get(key, Part(*key, 0, 0, 0, 0.0))
        grouped[key] = Part(
            *key,
            old.times + kernel.times,
            old.bytes + kernel.bytes,
            old.flops + kernel.times * kernel.flops,
            old.seconds + seconds,
        )
    return sorted(grouped.values(), key=lambda part: -part.seconds)


def _part(source: str) -> str:
    """Of a step, from the path of the operation that a kernel ends with."""
    if "transpose(" in source:
        return "backward"
    return "forward" if "jvp(" in source else "the rest"
