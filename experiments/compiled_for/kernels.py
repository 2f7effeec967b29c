"""The kernels that a compiled program launches: of which kind, how often, what each moves.

A kernel is an instruction of the entry computation, or of the body of a loop (as often as the loop
goes round, where the compiler knows it), that is not free. What takes no time by itself is no
kernel: parameters, constants, tuples, other views of the same bytes, the end of what was begun
before.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping

from experiments.compiled_for import kinds, loads
from experiments.compiled_for.flops import of as flops_of
from experiments.compiled_for.hlo import Computation, Instruction, Module, parse

_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One launch, or as many as a loop makes of it.

    Attributes:
      name: of the instruction.
      kind: one of the names in `kinds.py`, or "fusion", "transpose", "copy", "reduce", the
        name of an operation or of a function that is called.
      times: how often it is launched.
      read, written: bytes a launch, in the device's large memory.
      loads: values a launch that windows and slices load, from memory or a cache.
      flops: operations a launch of convolutions and products of matrices, others are not counted.
      dtype: in which they are computed, "f32", "tf32", "bf16".
      cycles: of a TPU, a launch, as the compiler estimates before it has a schedule, or as the
        schedule has them; None where nothing is known.
      scheduled: whether they are the schedule's.
      source: the operation of JAX that it comes from, as a path.
      exchanged: bytes a launch that a collective takes or gives on a device, whichever is more,
        wherever they lie.
      hidden: of a collective, how many kernels run between its start and its end; None if it has
        none of its own, and is waited for at once.
      aside: whether it runs beside the others: a copy that is begun and ended apart.
    """

    name: str
    kind: str
    times: int
    read: int
    written: int
    loads: int = 0
    flops: int = 0
    dtype: str = ""
    cycles: int | None = None
    scheduled: bool = False
    source: str = ""
    exchanged: int = 0
    hidden: int | None = None
    aside: bool = False

    @property
    def bytes(self) -> int:
        """Moved in all launches."""
        return self.times * (self.read + self.written)

    @property
    def collective(self) -> bool:
        """Whether devices exchange something."""
        return self.kind in kinds.COLLECTIVES


@dataclasses.dataclass(frozen=True)
class Program:
    """What a compiled program does.

    Attributes:
      kernels: in the order in which they are launched.
      unknown_loops: loops whose number of rounds the compiler does not say, counted as one round.
    """

    kernels: tuple[Kernel, ...]
    unknown_loops: int = 0

    @property
    def launches(self) -> int:
        """How many kernels run."""
        return sum(kernel.times for kernel in self.kernels)

    @property
    def bytes(self) -> int:
        """Read and written by all of them."""
        return sum(kernel.bytes for kernel in self.kernels)

    @property
    def flops(self) -> int:
        """Of convolutions and products of matrices."""
        return sum(kernel.times * kernel.flops for kernel in self.kernels)

    @property
    def cycles(self) -> int | None:
        """Of all kernels of which they are known; None if they are of none."""
        known = [k.times * k.cycles for k in self.kernels if k.cycles is not None]
        return sum(known) if known else None

    @property
    def kinds(self) -> Mapping[str, int]:
        """How many of each kind run, the most frequent first."""
        counts: dict[str, int] = {}
        for kernel in self.kernels:
            counts[kernel.kind] = counts.get(kernel.kind, 0) + kernel.times
        return dict(sorted(counts.items(), key=lambda item: -item[1]))


def program(text: str) -> Program:
    """The kernels of `Compiled.as_text()`.

    Raises:
      ValueError: the text is no compiled program.
    """
    module = parse(text)
    unknown: list[str] = []
    return Program(tuple(_walk(module, module.entry, 1, unknown)), len(unknown))


def _walk(module: Module, name: str, times: int, unknown: list[str]) -> Iterator[Kernel]:
    computation = module.computations[name]
    for place, instruction in enumerate(computation.instructions):
        operation = instruction.operation
        if operation == "while":
            trips = _TRIPS.search(instruction.attributes)
            if trips is None:
                unknown.append(instruction.name)
            rounds = int(trips.group(1)) if trips else 1
            for body in instruction.called("body"):
                yield from _walk(module, body, times * rounds, unknown)
        elif operation == "call":
            for called in instruction.called("to_apply", "calls"):
                yield from _walk(module, called, times, unknown)
        elif operation == "conditional":
            branches = [[*_walk(module, c, times, unknown)] for c in _likely(module, instruction)]
            yield from max(branches, key=lambda kernels: sum(k.bytes for k in kernels), default=[])
        elif operation == "async-start":
            for called in instruction.called("calls", "to_apply"):
                hidden = _between(computation, place)
                for kernel in _walk(module, called, times, unknown):
                    yield (
                        dataclasses.replace(kernel, hidden=hidden) if kernel.collective else kernel
                    )
        elif not kinds.free(instruction):
            yield _kernel(module, computation, place, times)


def _likely(module: Module, conditional: Instruction) -> list[str]:
    """The branches of which one runs, the one that moves most counting; not what runs `rarely`.

    Programs say so by a scope of that name.
    """
    keys = ("branch_computations", "true_computation", "false_computation")
    branches = conditional.called(*keys)

    def rare(branch: str) -> bool:
        instructions = module.computations[branch].instructions
        return any("rarely" in instruction.attributes for instruction in instructions)

    return [branch for branch in branches if not rare(branch)] or list(branches)


def _kernel(module: Module, computation: Computation, place: int, times: int) -> Kernel:
    instruction = computation.instructions[place]
    inside = None
    if instruction.operation == "fusion":
        inside = module.computations[instruction.called("calls")[0]]
    kind = kinds.of(instruction, inside)
    read, written, values = _moved(computation, instruction, inside, kind)
    work, dtype = flops_of(computation, instruction, inside)
    cycles = instruction.text("estimated_cycles")
    asynchronous = instruction.operation.endswith("-start")
    exchanging = kind in kinds.COLLECTIVES
    return Kernel(
        instruction.name,
        kind,
        times,
        read,
        written,
        values,
        work,
        dtype,
        int(cycles) if cycles.isdigit() else None,
        False,
        instruction.text("op_name"),
        _exchanged(computation, instruction) if exchanging else 0,
        _between(computation, place) if asynchronous and exchanging else None,
        asynchronous and not exchanging,
    )


def _moved(
    computation: Computation, instruction: Instruction, inside: Computation | None, kind: str
) -> tuple[int, int, int]:
    """Bytes read, bytes written, values loaded."""
    operands = [computation.by_name.get(name) for name in instruction.operands]
    if inside is not None:
        given = range(len(operands))
        read = sum(loads.read(inside, number) for number in given)
        tiled = kind in (kinds.TRITON, kinds.CUDNN, "matmul", "convolution")
        return read, loads.written(inside), 0 if tiled else loads.loads(inside)
    read = sum(operand.bytes for operand in operands if operand)
    written = instruction.bytes
    if instruction.operation.endswith("-start"):  # gives its operands again, and what it awaits
        last = [shape for shape in instruction.shapes if shape.elements > 1][-1:]
        arrays = len(operands)
        if kind in ("copy", "slice"):
            target = instruction.shapes[0] if kind == "copy" else last[0]
            read = target.bytes if read else 0
            written = target.bytes if target.space == 0 else 0
        elif kind != "all-reduce" and len(instruction.shapes) >= 2 * arrays:
            results = instruction.shapes[arrays : 2 * arrays]
            written = sum(shape.bytes for shape in results)
    if instruction.operation == "reduce-window":
        return read, written, instruction.elements * loads.taps(instruction)
    if instruction.operation == kinds.SELECT_AND_SCATTER and operands[1] is not None:
        return read, written, operands[1].elements * loads.taps(instruction)
    if instruction.operation in ("slice", "dynamic-slice", "gather"):
        read = min(read, sum(shape.bytes for shape in instruction.shapes))
    if instruction.operation == "dynamic-update-slice" and operands[1] is not None:
        read = written = operands[1].bytes
    return read, written, 0


def _exchanged(computation: Computation, instruction: Instruction) -> int:
    given = sum(shape.bytes for o in computation.operands(instruction) for shape in o.shapes)
    taken = sum(shape.bytes for shape in instruction.shapes)
    if instruction.operation.endswith("-start") and len(instruction.shapes) > 1:
        taken -= given  # which it gives again
    return max(given, taken)


def _between(computation: Computation, place: int) -> int:
    """How many kernels stand between a start and its end."""
    start = computation.instructions[place]
    count = 0
    for instruction in computation.instructions[place + 1 :]:
        if start.name in instruction.operands:
            break
        count += not kinds.free(instruction)
    return count
