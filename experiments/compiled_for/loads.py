"""What a fused computation reads and writes: bytes of memory, and values that it loads.

XLA makes each value of a fusion's result by going back to the operands, so a value that several
outputs need is loaded by each of them, mostly out of a cache: bytes are counted once, loads as
often as they are made. A parameter is loaded once for each way in which an output's index leads to
it: elementwise operations keep the index, slices, pads and transpositions change it, and a window
of T taps leads to T values.
"""

import math
import re

from experiments.compiled_for.hlo import Computation, Instruction

# What gives another value of its operand than that at its own index.
_MOVES = {
    "slice", "dynamic-slice", "pad", "transpose", "broadcast", "reshape", "reverse", "concatenate",
    "gather", "reduce", "reduce-window", "copy", "dynamic-update-slice", "scatter",
}  # fmt: skip
_PARTS = {"slice", "dynamic-slice", "gather"}  # of these a part of the operand alone is read
_MOST_WAYS = 4096  # to one value; beyond, as many as there are
_WINDOW = re.compile(r"\bwindow=\{size=([\dx]+)")


def read(computation: Computation, number: int) -> int:
    """Bytes of parameter `number` that are read, those it lies in on the chip apart."""
    parameter = _parameter(computation, number)
    if parameter is None or parameter.bytes == 0:
        return 0
    full, total = parameter.bytes, 0
    for user, operand in _users(computation, parameter):
        first = user.operands[0] == operand
        if user.operation in _PARTS and first:
            total += _size(user)
        elif user.operation in ("dynamic-update-slice", "scatter") and first:
            total += _update(computation, user) if user.operation == "scatter" else 0
        else:
            return full
    return min(full, total)


def written(computation: Computation) -> int:
    """Bytes of the results that are written: of what is updated in place, the update."""
    return sum(_result(computation, part) for part in _results(computation))


def loads(computation: Computation) -> int:
    """Values that are loaded from the parameters."""
    ways: dict[str, dict[int, float]] = {i.name: {} for i in computation.instructions}
    for part in _results(computation):
        ways[part.name][0] = float(_updated(computation, part))
    for instruction in reversed(computation.instructions):
        reached = ways[instruction.name]
        if not reached or instruction.operation in ("parameter", "constant", "iota"):
            continue
        for place, operand in enumerate(computation.operands(instruction)):
            for way, values in _ways(instruction, operand, place, reached).items():
                known = ways[operand.name]
                known[way] = max(known.get(way, 0.0), values)
            if len(ways[operand.name]) > _MOST_WAYS:
                ways[operand.name] = {0: sum(ways[operand.name].values())}
    parameters = (i for i in computation.instructions if i.operation == "parameter")
    return round(sum(sum(ways[parameter.name].values()) for parameter in parameters))


def taps(instruction: Instruction) -> int:
    """Values that one output of a `reduce-window` takes in."""
    found = _WINDOW.search(instruction.attributes)
    return math.prod(map(int, found.group(1).split("x"))) if found else 1


def _ways(
    instruction: Instruction, operand: Instruction, place: int, reached: dict[int, float]
) -> dict[int, float]:
    """How the operand is reached, from how the instruction is: (way -> values)."""
    if instruction.operation in ("dot", "convolution"):
        return {0: float(operand.elements)}  # in tiles, each value once or a few times
    if instruction.operation not in _MOVES:
        return reached
    factor = 1.0
    if instruction.operation == "reduce-window":
        factor = taps(instruction)
    elif instruction.operation == "reduce":
        factor = operand.elements / max(instruction.elements, 1)
    elif instruction.operation in ("pad", "concatenate"):
        factor = min(1.0, operand.elements / max(instruction.elements, 1))
    sign = (instruction.operation, place, instruction.attributes.partition("metadata=")[0])
    if operand.operation == "parameter" and operand.elements == 1:
        return {0: 1.0}  # stays in a register
    return {hash((way, sign)): values * factor for way, values in reached.items()}


def _parameter(computation: Computation, number: int) -> Instruction | None:
    for instruction in computation.instructions:
        if instruction.operation == "parameter" and instruction.arguments.strip() == str(number):
            return instruction
    return None


def _users(computation: Computation, source: Instruction) -> list[tuple[Instruction, str]]:
    """Who reads it, and under which name: it may be seen as another shape in between."""
    found = []
    for user in computation.users[source.name]:
        if user.operation == "bitcast":
            found += _users(computation, user)
        else:
            found.append((user, source.name))
    return found


def _results(computation: Computation) -> list[Instruction]:
    root = computation.root
    return list(computation.operands(root)) if root.operation == "tuple" else [root]


def _result(computation: Computation, part: Instruction) -> int:
    while part.operation == "bitcast":
        part = next(computation.operands(part))
    if part.operation in ("dynamic-update-slice", "scatter"):
        return min(part.bytes, _update(computation, part))
    return part.bytes


def _updated(computation: Computation, part: Instruction) -> int:
    if part.operation in ("dynamic-update-slice", "scatter"):
        return computation.by_name[_update_name(part)].elements
    return part.elements


def _update(computation: Computation, part: Instruction) -> int:
    return _size(computation.by_name[_update_name(part)])


def _update_name(part: Instruction) -> str:
    return part.operands[1 if part.operation == "dynamic-update-slice" else -1]


def _size(instruction: Instruction) -> int:
    return sum(shape.bytes for shape in instruction.shapes)
