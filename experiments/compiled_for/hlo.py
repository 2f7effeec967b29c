"""The text of a compiled program, read into computations and instructions.

`Compiled.as_text()` of JAX is such a text. What is read of a line, such as

    ROOT %add.1 = f32[8,4]{1,0} fusion(%x, %y), kind=kLoop, calls=%fused_add, backend_config={...}

are its name, the arrays it gives, its operation, the names of its operands, and what follows.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Iterator, Mapping, Sequence

# Bytes of an element; types of four bits count as one byte.
SIZES = {
    "pred": 1, "s2": 1, "u2": 1, "s4": 1, "u4": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2,
    "s32": 4, "u32": 4, "s64": 8, "u64": 8, "f16": 2, "bf16": 2, "f32": 4, "f64": 8,
    "c64": 8, "c128": 16, "f8e4m3fn": 1, "f8e5m2": 1, "f8e4m3": 1, "f8e3m4": 1,
}  # fmt: skip

_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_LINE = re.compile(r"^(ROOT )?%?([\w.\-]+) = (.*)$")
_SHAPE = re.compile(r"\b([a-z][a-z0-9]*)\[([0-9,<=]*)\](?:\{([^{}]*)\})?")
_TILES = re.compile(r"^([\d,]*):T\(([\d,]+)\)")
_SPACE = re.compile(r"S\((\d+)\)")
_OPERATION = re.compile(r"^\s*([a-z][\w\-]*)\(")
_NAME = re.compile(r"%([\w.\-]+)")


@dataclasses.dataclass(frozen=True)
class Shape:
    """One array.

    Attributes:
      dtype: as the compiler calls it, "f32".
      dims: sizes of its axes.
      space: the memory it lies in: 0 is the device's large one, others are on the chip.
      padded: elements with those that fill its tiles, on a TPU; None without tiles.
    """

    dtype: str
    dims: tuple[int, ...]
    space: int = 0
    padded: int | None = None

    @property
    def elements(self) -> int:
        """How many there are."""
        return math.prod(self.dims)

    @property
    def bytes(self) -> int:
        """What it takes, wherever it lies."""
        elements = self.elements if self.padded is None else self.padded
        return elements * SIZES.get(self.dtype, 0)


@dataclasses.dataclass(frozen=True)
class Instruction:
    """A line of a computation.

    Attributes:
      name: unique in the computation.
      shapes: the arrays that it gives, one if it gives no tuple.
      operation: what it does, "fusion" or "custom-call" among others.
      operands: names of instructions.
      arguments: the text between the parentheses.
      attributes: the text behind them.
      root: whether it gives the results of the computation.
    """

    name: str
    shapes: tuple[Shape, ...]
    operation: str
    operands: tuple[str, ...]
    arguments: str
    attributes: str
    root: bool

    @property
    def elements(self) -> int:
        """Of the first array it gives."""
        return self.shapes[0].elements if self.shapes else 0

    @property
    def bytes(self) -> int:
        """Of all arrays that it gives and that lie in the device's large memory."""
        return sum(shape.bytes for shape in self.shapes if shape.space == 0)

    def called(self, *keys: str) -> list[str]:
        """The names behind `key=`, one or several in braces."""
        found = []
        for key in keys:
            for text in re.findall(rf"\b{key}=(\{{[^}}]*\}}|%[\w.\-]+)", self.attributes):
                found += _NAME.findall(text)
        return found

    def text(self, key: str) -> str:
        """What stands behind `"key":` or `key=`, without quotes; empty if nothing does."""
        forms = rf'"{key}":"?([^",}}]*)|\b{key}="([^"]*)"|\b{key}=([^",\s]*)'
        found = re.search(forms, self.attributes)
        return next((group for group in found.groups() if group), "") if found else ""


@dataclasses.dataclass(frozen=True)
class Computation:
    """Instructions in the order in which they stand, which in the entry is that of running."""

    instructions: tuple[Instruction, ...]

    @functools.cached_property
    def by_name(self) -> Mapping[str, Instruction]:
        """The instructions."""
        return {instruction.name: instruction for instruction in self.instructions}

    @functools.cached_property
    def users(self) -> Mapping[str, Sequence[Instruction]]:
        """For each name the instructions that read it."""
        users: dict[str, list[Instruction]] = {i.name: [] for i in self.instructions}
        for instruction in self.instructions:
            for operand in dict.fromkeys(instruction.operands):
                if operand in users:
                    users[operand].append(instruction)
        return users

    @functools.cached_property
    def operations(self) -> frozenset[str]:
        """What is done in it."""
        return frozenset(instruction.operation for instruction in self.instructions)

    @property
    def root(self) -> Instruction:
        """What it gives; in a text without a mark the last instruction."""
        return next((i for i in self.instructions if i.root), self.instructions[-1])

    def operands(self, instruction: Instruction) -> Iterator[Instruction]:
        """Those of its operands that stand in this computation."""
        return (self.by_name[name] for name in instruction.operands if name in self.by_name)


@dataclasses.dataclass(frozen=True)
class Module:
    """A program: its computations by name, and the name of the one that is run."""

    computations: Mapping[str, Computation]
    entry: str


def parse(text: str) -> Module:
    """Reads the text of a compiled program.

    Raises:
      ValueError: it has no entry computation.
    """
    found: dict[str, list[Instruction]] = {}
    entry, current = "", None
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            current = found[head.group(2)] = []
            entry = head.group(2) if head.group(1) else entry
        elif line.startswith("}"):
            current = None
        elif current is not None and (instruction := _instruction(line.strip())):
            current.append(instruction)
    if not entry:
        raise ValueError("parse: the text holds no ENTRY computation; give `Compiled.as_text()`")
    return Module({k: Computation(tuple(v)) for k, v in found.items() if v}, entry)


def shapes(text: str) -> tuple[Shape, ...]:
    """All arrays named in a text such as `(f32[2,3]{1,0}, u8[0]{0:S(1)})`."""
    found = []
    for dtype, dims, layout in _SHAPE.findall(text):
        space = _SPACE.search(layout)
        sizes = tuple(int(size.lstrip("<=")) for size in dims.split(",") if size)
        place = int(space.group(1)) if space else 0
        found.append(Shape(dtype, sizes, place, _padded(sizes, layout)))
    return tuple(found)


def _padded(sizes: Sequence[int], layout: str) -> int | None:
    """Elements of an array of tiles, such as `1,0:T(8,128)`: the axes that vary fastest first."""
    tiles = _TILES.match(layout)
    if not tiles:
        return None
    order = [int(axis) for axis in tiles.group(1).split(",") if axis]
    tile = [int(size) for size in tiles.group(2).split(",")]
    filled = list(sizes)
    for axis, size in zip(order, reversed(tile), strict=False):
        filled[axis] = -(-filled[axis] // size) * size
    return math.prod(filled)


def _instruction(line: str) -> Instruction | None:
    match = _LINE.match(line)
    if not match:
        return None
    root, name, rest = match.groups()
    end = _closing(rest) if rest.startswith("(") else rest.find(" ")
    kind = _OPERATION.match(rest[end:])
    if end < 0 or not kind:
        return None
    start = end + kind.end()
    stop = start - 1 + _closing(rest[start - 1 :])
    arguments = rest[start : stop - 1]
    operands = tuple(_NAME.findall(arguments))
    return Instruction(
        name, shapes(rest[:end]), kind.group(1), operands, arguments, rest[stop:], bool(root)
    )


def _closing(text: str) -> int:
    """Where the parenthesis that the text begins with is closed: behind it."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place + 1
    return len(text)
