"""What devices send each other in a step, and what of it the step waits for: by a model.

Assumed:

- A reduction of all to all goes round a ring: a device sends, and takes in, 2 (n - 1) / n of the
  array; a gathering or a scattering half as much. A permutation sends the array once.
- GPUs of a node send at `interconnect`. Beyond a node, rings of all its GPUs run side by side, each
  over its own adapter at `network`; NCCL does so. A TPU reduces over its four links at once.
- Each exchange takes 10 us by itself between GPUs of a node, 30 us beyond (NCCL's own for a few
  bytes), 2 us between TPUs.
- It runs beside the kernels between its start and its end, and the step waits for the rest.
"""

import dataclasses
import math
from collections.abc import Mapping

from experiments.compiled_for import model
from experiments.compiled_for.description import Description
from experiments.compiled_for.kernels import Kernel, Program

LATENCY = {"cuda": (10e-6, 30e-6), "tpu": (2e-6, 2e-6)}  # within a node, beyond it
LINKS = {"cuda": 1, "tpu": 4}  # over which a reduction goes at once
_OF_TWO = {"all-reduce": 2.0, "collective-permute": 0.0}  # times (n - 1) / n; 1 for all others


@dataclasses.dataclass(frozen=True)
class Exchanged:
    """All exchanges of one kind.

    Attributes:
      kind: "all-reduce" for example.
      times: how many there are in a step.
      bytes: of the arrays on a device, in all of them.
      beside: how many have kernels between their start and their end.
      seconds: that they take.
      waited: of these what nothing hides.
    """

    kind: str
    times: int
    bytes: int
    beside: int
    seconds: float
    waited: float


@dataclasses.dataclass(frozen=True)
class Links:
    """The devices of a program and what they send over.

    Attributes:
      device: one of them.
      mesh: sizes of its axes by name; those along the last one are next to each other.
    """

    device: Description
    mesh: Mapping[str, int]

    def seconds(self, kernel: Kernel) -> float:
        """Of one exchange, hidden or not."""
        *_, last = self.mesh.values()
        count = last if kernel.kind == "collective-permute" else math.prod(self.mesh.values())
        if count == 1:
            return 0.0
        platform, device = self.device.platform, self.device
        beyond = count > device.devices_a_node
        link = device.interconnect or device.bandwidth
        if kernel.kind == "collective-permute":
            link = (device.network or link) if beyond else link
            share = 1.0
        else:
            link *= LINKS[platform]
            if beyond:
                link = min(link, device.devices_a_node * (device.network or link))
            share = _OF_TWO.get(kernel.kind, 1.0) * (count - 1) / count
        array = kernel.exchanged
        return LATENCY[platform][beyond] + share * array / link


def waits(program: Program, links: Links) -> list[float]:
    """For each kernel how long the step waits for it in all its launches."""
    own = [
        links.seconds(kernel) if kernel.collective else model.time(kernel, links.device).total
        for kernel in program.kernels
    ]
    found = list(own)
    for place, kernel in enumerate(program.kernels):
        if kernel.collective and kernel.hidden:
            behind = range(place + 1, min(place + 1 + kernel.hidden, len(own)))
            free = sum(own[i] for i in behind if not program.kernels[i].collective)
            found[place] = max(0.0, own[place] - free)
    return [kernel.times * time for kernel, time in zip(program.kernels, found, strict=True)]


def exchanged(program: Program, links: Links) -> list[Exchanged]:
    """By kind, the largest first."""
    found: dict[str, Exchanged] = {}
    for kernel, waited in zip(program.kernels, waits(program, links), strict=True):
        if kernel.collective:
            old = found.get(kernel.kind, Exchanged(kernel.kind, 0, 0, 0, 0.0, 0.0))
            found[kernel.kind] = Exchanged(
                kernel.kind,
                old.times + kernel.times,
                old.bytes + kernel.times * kernel.exchanged,
                old.beside + kernel.times * bool(kernel.hidden),
                old.seconds + kernel.times * links.seconds(kernel),
                old.waited + waited,
            )
    return sorted(found.values(), key=lambda kind: -kind.bytes)
