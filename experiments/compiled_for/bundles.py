"""How many cycles a TPU's core takes for a kernel, counted in the compiler's own schedule.

The compiler of a TPU packs instructions into bundles, one bundle a cycle, and can write them down
(`schedules.py`). Which bundles run, and how often, depends on scalars alone: on the numbers of
rounds of loops, which are constants of the program. So this follows a kernel bundle by bundle and
computes its scalars; vectors, and all that waits for memory, it leaves out. A line such as

    0x12 : > { %p63_p3 = scmp.ge.s32.totalorder %s29_s2, 10  ;;  %75 = sbr.rel (%p6_p4) target = ...

is a bundle of a comparison and a jump. `%p63_p3` is the value 63 in the register p3: registers are
what is followed. A jump is taken after the next four bundles. `smov (%p1_p3, %s5_s2), 7` is 7 where
p3 holds, and s2 otherwise; other instructions with a condition are left out where it does not hold.
"""

import dataclasses
import re
from collections import deque
from collections.abc import Mapping, Sequence

from experiments.compiled_for import scalars
from experiments.compiled_for.scalars import Value

DELAY = 4  # bundles that still run behind a jump
MOST_CYCLES = 50_000_000

_BUNDLE = re.compile(r"^\s*(?:0x[0-9a-f]+|\d+)\s+(?:[A-Z]{2})?\s*:\s*>*\s*\{", re.MULTILINE)
_EXIT = "/* exit bundle"
_REGION = re.compile(r"Start(?:/End empty)? region (\d+)")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_INSTRUCTION = re.compile(r"^(?:%(\w+) = )?([a-z_][\w.]*)\s*(.*)$", re.DOTALL)
_CONDITION = re.compile(r"^\((!?)%\w*?(p\d+)(?:, ([^)]*))?\)\s*,?\s*(.*)$", re.DOTALL)
_REGISTER = re.compile(r"^(!?)%(?:\w*_)?([sp]\d+)\b")
_ADDRESS = re.compile(r"^\[(?:\w+:)?\[?#allocation\w+(?: \+ \$(0x[0-9a-f]+))?\]")
_TARGET = re.compile(r"target = \$region(\d+)")

Operand = tuple[bool, str] | int | None  # a register, negated or not; a number; unknown


@dataclasses.dataclass(frozen=True)
class _Step:
    """An instruction that changes a scalar, or jumps.

    Attributes:
      name: what it does.
      register: that it changes; "" if none.
      condition: under which it does.
      instead: the value without the condition, of a conditional move.
      operands: what it takes.
      place: the memory that it reads or writes, as text; of a jump, where it leads.
    """

    name: str
    register: str = ""
    condition: Operand = None
    instead: Operand = None
    operands: tuple[Operand, ...] = ()
    place: str = ""


def cycles(text: str) -> int | None:
    """Cycles of a kernel from the text of its bundles; None if they depend on what is unknown."""
    bundles, regions, leave = _parse(text)
    kernel = _Kernel(regions, leave)
    busy = _next_busy(bundles)
    place = count = 0
    jump: deque[tuple[int, int]] = deque()  # when, and where to
    while place < len(bundles):
        idle = busy[place] - place
        if idle:  # as many at once as there are
            idle = min(idle, jump[0][0] - count) if jump else idle
            count, place = count + idle, place + idle
        else:
            count, place = count + 1, place + 1
            target = kernel.run(bundles[place - 1])
            if kernel.lost or count > MOST_CYCLES:
                return None
            if target is not None:
                jump.append((count + DELAY, target))
        if jump and jump[0][0] == count:
            place = jump.popleft()[1]
    return count


def _next_busy(bundles: Sequence[Sequence[_Step]]) -> list[int]:
    """For each bundle the next one, itself or behind it, that concerns scalars."""
    found, after = [], len(bundles)
    for place in reversed(range(len(bundles))):
        after = place if bundles[place] else after
        found.append(after)
    return found[::-1]


class _Kernel:
    """The scalars of a kernel while it runs."""

    def __init__(self, regions: Mapping[str, int], leave: int | None = None):
        self.lost = False  # a jump depends on something unknown, or leads to nowhere
        self._regions, self._exit = regions, leave
        self._registers: dict[str, Value] = {}
        self._memory: dict[str, Value] = {}
        self._quotients: deque[Value] = deque()

    def run(self, bundle: Sequence[_Step]) -> int | None:
        """Runs a bundle, whose instructions all see what was there before; returns a jump's aim."""
        target = None
        changed: list[tuple[str, Value]] = []
        for step in bundle:
            holds = True if step.condition is None else self._value(step.condition)
            if step.name == "sbr.rel":
                aim = self._regions.get(step.place, self._exit)
                self.lost |= holds is None or (holds is True and aim is None)
                target = aim if holds else target
            elif step.name == "sst":
                if holds is not False:
                    self._memory[step.place] = self._value(step.operands[0]) if holds else None
            elif step.name == "sdivrem.u32":
                self._quotients.extend(scalars.divided(*map(self._value, step.operands[:2])))
            elif step.instead is not None and not holds:
                changed.append(
                    (step.register, self._value(step.instead) if holds is False else None)
                )
            elif holds is not False:
                changed.append((step.register, self._result(step) if holds else None))
        for register, value in changed:
            self._registers[register] = value
        return target

    def _value(self, operand: Operand) -> Value:
        if isinstance(operand, tuple):
            negated, register = operand
            value = self._registers.get(register)
            return not value if negated and value is not None else value
        return operand

    def _result(self, step: _Step) -> Value:
        if step.name == "sld":
            return 0 if "core id" in step.place else self._memory.get(step.place)
        if step.name == "spop.drf":
            return self._quotients.popleft() if self._quotients else None
        if step.name.startswith("inlined_call_operand"):
            return 0  # an address, which nothing depends on
        values = [self._value(operand) for operand in step.operands]
        if step.name in scalars.MOVES:
            return values[0] if values else None
        if step.name == "scalar_select":
            chosen, yes, no = values[:3]
            return None if chosen is None else yes if chosen else no
        if step.name in scalars.LOGIC:
            return scalars.LOGIC[step.name](values[0], values[1])
        if len(values) < 2 or values[0] is None or values[1] is None:
            return values[0] if step.name.startswith("scalar_lea") and len(values) == 1 else None
        one, other = int(values[0]), int(values[1])
        if step.name.startswith("scalar_lea"):
            return scalars.unsigned(one + other)
        if step.name.startswith("scmp."):
            _, relation, kind = step.name.split(".")[:3]
            see = scalars.signed if kind.startswith("s") else scalars.unsigned
            compare = scalars.RELATIONS.get(relation)
            return None if compare is None else compare(see(one), see(other))
        compute = scalars.ARITHMETIC.get(step.name)
        return None if compute is None else scalars.unsigned(compute(one, other))


def _parse(text: str) -> tuple[list[tuple[_Step, ...]], dict[str, int], int | None]:
    """The bundles, of each what concerns scalars; where each region begins, and the last one.

    That is not marked as the others: where it begins stands that the kernel ends.
    """
    starts = list(_BUNDLE.finditer(text))
    ends = [start.start() for start in starts[1:]] + [len(text)]
    bundles, regions, leave = [], {}, None
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        body = text[start.end() : end]
        for region in _REGION.findall(body):
            regions.setdefault(region, place)
        leave = place if _EXIT in body else leave
        core = "core id" in body
        body = _COMMENT.sub("", body).rpartition("}")[0]
        steps = (_step(part.strip(), core) for part in body.split(";;"))
        bundles.append(tuple(step for step in steps if step))
    return bundles, regions, leave


def _step(text: str, core: bool) -> _Step | None:
    found = _INSTRUCTION.match(text)
    if not found:
        return None
    result, name, arguments = found.groups()
    condition, instead = None, None
    if under := _CONDITION.match(arguments):
        condition = (under.group(1) == "!", under.group(2))
        instead = _operand(under.group(3)) if under.group(3) else None
        arguments = under.group(4)
    if name == "sbr.rel":
        aim = _TARGET.search(text)
        return _Step(name, "", condition, place=aim.group(1)) if aim else None
    parts = [part.strip() for part in arguments.split(",")]
    if name == "sst":
        address, _, value = arguments.rpartition(" ")
        return _Step(name, "", condition, operands=(_operand(value),), place=address.strip(" ,"))
    register = _REGISTER.match(f"%{result}") if result else None
    if name == "sdivrem.u32":
        return _Step(name, "", condition, operands=tuple(map(_operand, parts)))
    if register is None or name == "sphi":
        return None
    place = ("core id" if core else arguments.strip()) if name == "sld" else ""
    operands = tuple(_operand(part.partition("[resolvable")[0] or part) for part in parts)
    if name.startswith("int_to_ptr"):
        operands = (_operand(arguments.rpartition("]")[2].strip() or arguments),)
    return _Step(name, register.group(2), condition, instead, operands, place)


def _operand(text: str) -> Operand:
    text = text.strip()
    if register := _REGISTER.match(text):
        return (register.group(1) == "!", register.group(2))
    if address := _ADDRESS.match(text):
        return int(address.group(1) or "0", 16)
    if number := re.match(r"^-?\d+\b", text):
        return int(number.group())
    return None
