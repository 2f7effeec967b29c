"""Counts the products that a Jaxpr adds up, and says to which call of a layer they belong.

Names in the Jaxpr tell the calls apart: a scope around each call, and a name for each of its
outputs, whose shapes show the batch that `vmap` adds. A program of `functional` has a name that
says what it costs, whatever it is lowered to.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jax.extend import core

from jaxcnn.lowering.by_platform import form

# What may multiply where no Jaxpr shows it.
OPAQUE = {
    *("pallas_call", "ffi_call", "pure_callback", "io_callback", "ragged_dot_general"),
    *("custom_linear_solve", "cudnn_fusion", "dot_product_attention_fwd_wrapper"),
}
_SCOPE = re.compile(r"jaxcnn_call_(\d+)")
_OUTPUT = re.compile(r"jaxcnn_output_(\d+)_of_call_(\d+)")
_PROGRAM = re.compile(r"jaxcnn_(\d+)_products_for_(\d+)_outputs_of_([\dx]*)")


def scope(number: int) -> str:
    """The name of the scope of a call."""
    return f"jaxcnn_call_{number}"


def output(number: int, leaf: int) -> str:
    """The name of an output of a call."""
    return f"jaxcnn_output_{leaf}_of_call_{number}"


def call_of(name: str, leaf: int | None = 0) -> int | None:
    """The number of the call whose output of that number, or any, has the name; None for others."""
    told = _OUTPUT.fullmatch(name)
    return int(told[2]) if told and leaf in (None, int(told[1])) else None


def program(products: int, outputs: Sequence[Any]) -> str:
    """The name of a program that adds up so many products for such outputs."""
    shape = "x".join(map(str, outputs[0].shape))
    return f"jaxcnn_{products}_products_for_{len(outputs)}_outputs_of_{shape}"


@dataclass(slots=True)
class Costs:
    """Of every call, by its number.

    Attributes:
      products: those of the call itself, without those of the calls inside it.
      memory: bytes of its outputs.
      runs: how often it runs, every element of a batch that `vmap` adds for itself.
      unknown: calls with products of which nobody can say how many they are.
    """

    products: Counter[int] = field(default_factory=Counter)
    memory: Counter[int] = field(default_factory=Counter)
    runs: Counter[int] = field(default_factory=Counter)
    unknown: set[int] = field(default_factory=set)

    def add(self, other: "Costs", times: int = 1) -> None:
        """Adds what runs `times`."""
        for own, more in (
            (self.products, other.products),
            (self.memory, other.memory),
            (self.runs, other.runs),
        ):
            for number, amount in more.items():
                own[number] += amount * times
        self.unknown |= other.unknown

    def weight(self) -> tuple[bool, int, int]:
        """What the largest branch has most of."""
        return bool(self.unknown), self.products.total(), self.memory.total()


def costs(jaxpr: Any, sizes: Mapping[int, int], known: Mapping[int, int]) -> Costs:
    """What runs, by the numbers of calls.

    Args:
      jaxpr: of everything, all of it inside the first call, 0.
      sizes: elements of the first output of each call, as they were when it was made.
      known: products of the calls whose Jaxprs don't say them.
    """
    return _Walk(sizes, known).through(jaxpr, 0)


@dataclass(frozen=True, slots=True)
class _Walk:
    sizes: Mapping[int, int]
    known: Mapping[int, int]

    def through(self, jaxpr: Any, owner: int) -> Costs:
        """What one run of a Jaxpr costs, inside the call `owner`."""
        total = Costs()
        for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
            self._equation(equation, owner, total)
        return total

    def _equation(self, equation: Any, owner: int, total: Costs) -> None:
        """Adds what an equation costs."""
        scopes = _SCOPE.findall(str(equation.source_info.name_stack))
        owner = int(scopes[-1]) if scopes else owner
        kind, options = equation.primitive.name, equation.params
        name = options.get("name")
        name = name if isinstance(name, str) else ""
        told = _OUTPUT.fullmatch(name)
        if told:
            self._output(int(told[2]), int(told[1]), equation.outvars[0].aval, total)
        elif owner not in self.known:
            told = _PROGRAM.fullmatch(name)
            if told:
                runs = _batch(equation.outvars, int(told[2]), told[3])
                if runs is None and int(told[1]):
                    total.unknown.add(owner)
                total.products[owner] += int(told[1]) * (runs or 0)
            elif kind in _PRODUCTS:
                total.products[owner] += _PRODUCTS[kind](equation)
            elif kind in OPAQUE:
                total.unknown.add(owner)
            else:
                self._inside(equation, owner, total)

    def _output(self, number: int, leaf: int, aval: Any, total: Costs) -> None:
        """Adds one output of a call, and with the first that the call runs."""
        total.memory[number] += aval.size * aval.dtype.itemsize
        if not leaf:
            size = self.sizes[number]
            runs = aval.size // size if size else 1
            total.runs[number] += runs
            total.products[number] += runs * self.known.get(number, 0)

    def _inside(self, equation: Any, owner: int, total: Costs) -> None:
        """Adds what the Jaxprs of an equation cost: loops, branches, calls."""
        inside: list[Any] = list(core.jaxprs_in_params(equation.params))
        if equation.primitive.name == "by_platform":
            inside.append(form(equation))
        parts = [self.through(part, owner) for part in inside]
        match equation.primitive.name:
            case "cond":
                total.add(max(parts, key=Costs.weight))
            case "while":  # how often is unknown
                for part in parts:
                    total.add(part)
                    total.unknown |= {number for number, some in part.products.items() if some}
            case _:
                for part in parts:
                    total.add(part, _repeats(equation))


def _repeats(equation: Any) -> int:
    """How often the Jaxpr of an equation runs."""
    options = equation.params
    if equation.primitive.name == "scan":
        return options["length"]
    if equation.primitive.name == "shard_map":
        return math.prod(options["mesh"].shape[axis] for axis in options["newly_manual_axes"])
    return 1


def _batch(found: Sequence[Any], count: int, shape: str) -> int | None:
    """How many elements of a batch that `vmap` added a program computes.

    None for its derivatives, which have other outputs: then its products are other ones, too.
    """
    own = [int(size) for size in shape.split("x") if size]
    sizes = iter(found[0].aval.shape)
    if len(found) != count or any(size not in sizes for size in own):  # in this order
        return None
    return math.prod(found[0].aval.shape) // max(math.prod(own), 1)


def _dot_general(equation: Any) -> int:
    """Every output adds up a product for each element that is contracted."""
    (contracted, _), _ = equation.params["dimension_numbers"]
    inside = equation.invars[0].aval.shape
    return equation.outvars[0].aval.size * math.prod(inside[axis] for axis in contracted)


def _conv_general_dilated(equation: Any) -> int:
    """Every output adds up a product for each weight that it sees, padding included."""
    options = equation.params
    numbers = options["dimension_numbers"]
    outputs, kernel = equation.outvars[0].aval.shape, equation.invars[1].aval.shape
    batch, features, *places = (outputs[axis] for axis in numbers.out_spec)
    _, inside, *taps = (kernel[axis] for axis in numbers.rhs_spec)
    lows = (low for low, _ in options["padding"])
    strides, spacings = options["window_strides"], options["rhs_dilation"]
    axes = zip(places, taps, strides, lows, spacings, options["lhs_dilation"], strict=True)
    return batch * features * inside * math.prod(met(*axis) for axis in axes)


def met(places: int, taps: int, stride: int, low: int, spacing: int, dilation: int) -> int:
    """Pairs of an output and a tap along one axis.

    Without those where the tap lies on a zero that an input dilation puts between pixels: such a
    convolution is a transposed one, whose weights meet every input pixel once.
    """
    if dilation == 1:
        return places * taps
    positions = (
        place * stride + tap * spacing - low for place in range(places) for tap in range(taps)
    )
    return sum(position % dilation == 0 for position in positions)


_PRODUCTS = {"dot_general": _dot_general, "conv_general_dilated": _conv_general_dilated}
