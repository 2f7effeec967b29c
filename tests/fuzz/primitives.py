"""The primitives that are drawn: what a call of each is made of, and when it is valid."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from tests.fuzz.calls import FINITE, Call, Values
from tests.fuzz.choices import Choices

Plan = dict[str, Any]
Field = Callable[[Choices, Plan], Any]

FLOATS = ("float64", "float32", "float64", "float32", "bfloat16", "float16")
COMPLEX = ("complex128", "complex64")
INTEGERS = ("int32", "int16", "int64", "uint8", "int8")
LARGEST = {1: 9, 2: 6, 3: 4}  # pixels of an axis, by the number of axes
TAPS = {1: 4, 2: 3, 3: 2}


@dataclasses.dataclass(frozen=True)
class Primitive:
    """One function of `jaxcnn.functional`.

    Attributes:
      name: of the function.
      fields: what a plan holds, in the order in which it is drawn; any of them can be drawn anew,
        "rank" and "batch" aside.
      build: makes the call of a plan.
      valid: whether the contract takes that call.
      gradients: the arguments that the reference's gradients belong to, in their order.
      kinds: what the numbers in the arrays may be.
      smooth: those of `kinds` at which the contract says what the gradients are.
      special: the arguments that hold such numbers; the others are normal.
      windows: where they begin along each axis, of a valid plan; None for primitives without.
      pads: the padding of such a plan.
      apart: whether the contract says which outputs a NaN or an infinity reaches.
    """

    name: str
    fields: Mapping[str, Field]
    build: Callable[[Plan], Call]
    valid: Callable[[Plan], bool]
    gradients: tuple[str, ...] = ("inputs",)
    kinds: tuple[str, ...] = FINITE
    smooth: tuple[str, ...] = FINITE
    special: tuple[str, ...] = ("inputs",)
    apart: Callable[[Plan], bool] = lambda plan: plan["dtype"] not in COMPLEX

    windows: Callable[[Plan], Any] = lambda plan: None
    pads: Callable[[Plan], Any] = lambda plan: None

    def call(self, plan: Plan) -> Call:
        """The call of a plan, with what the contract's arithmetic says about a valid one."""
        call = self.build(plan)
        if not self.valid(plan):
            return call
        found = self.windows(plan)
        out = found and tuple(n if isinstance(n, int) else len(n) for n in found)
        return dataclasses.replace(call, out=out, pads=self.pads(plan))

    def plan(self, choices: Choices) -> Plan:
        """Draws all fields."""
        plan: Plan = {"seed": choices.seed()}
        for name, field in self.fields.items():
            plan[name] = field(choices, plan)
        return plan


PRIMITIVES: dict[str, Primitive] = {}


def register(*primitives: Primitive) -> None:
    """Adds to `PRIMITIVES`."""
    for primitive in primitives:
        PRIMITIVES[primitive.name] = primitive


def rank(c: Choices, plan: Plan) -> int:
    """Spatial axes."""
    return c.one_of(1, 2, 2, 1, 3)


def batch(c: Choices, plan: Plan) -> tuple[int, ...]:
    """Batch axes: none, one or two, now and then empty."""
    return c.one_of((2,), (), (1,), (2, 1), (3,), (1, 2), (2,), (0,))


def sizes(c: Choices, plan: Plan) -> tuple[int, ...]:
    """Spatial sizes; once in a while an empty one, which is refused."""
    low = 0 if c.chance(25) else 1
    return tuple(c.integer(low, LARGEST[plan["rank"]]) for _ in range(plan["rank"]))


def channels(c: Choices, plan: Plan) -> int:
    """Channels; once in a while none, which is refused."""
    return 0 if c.chance(40) else c.one_of(1, 2, 3)


def window(c: Choices, plan: Plan) -> tuple[int, ...]:
    """Taps of a window, now and then as large as the input or larger."""
    largest = TAPS[plan["rank"]]

    def taps(size: int) -> int:
        return max(size + c.integer(0, 1), 1) if c.chance(8) else c.integer(1, largest)

    return tuple(taps(size) for size in plan["sizes"])


def steps(c: Choices, plan: Plan) -> int | tuple[int, ...]:
    """Strides or a dilation."""
    return c.per_axis(plan["rank"], 1, 1, 2, 3)


def pool_strides(c: Choices, plan: Plan) -> int | tuple[int, ...] | None:
    """Strides of a pool: None, like the window, up to beyond it."""
    kind = c.integer(0, 3)
    return None if kind == 0 else plan["window"] if kind == 1 else steps(c, plan)


def pair_padding(c: Choices, plan: Plan, low: int = 0) -> Any:
    """An int, ints, or pairs."""
    form, rank = c.integer(0, 2), plan["rank"]
    if form == 0:
        return c.integer(low, 3)
    if form == 1:
        return tuple(c.integer(low, 2) for _ in range(rank))
    return tuple((c.integer(low, 3), c.integer(low, 2)) for _ in range(rank))


def pool_padding(c: Choices, plan: Plan) -> Any:
    """Padding of a pool; once in a while a negative amount, which is refused."""
    if c.integer(0, 1):
        return pair_padding(c, plan, -1 if c.chance(8) else 0)
    return c.one_of("VALID", "SAME", "SAME_LOWER", "FULL", "CAUSAL", "same")


def conv_padding(c: Choices, plan: Plan) -> Any:
    """Padding of a convolution; a negative amount crops."""
    if c.integer(0, 1):
        return pair_padding(c, plan, -2 if c.chance(3) else 0)
    names = ("SAME", "VALID", "SAME_LOWER", "FULL", "CIRCULAR", "REFLECT", "CAUSAL", "valid")
    return c.one_of(*names)


def choice(*options: Any) -> Field:
    """One of `options`."""
    return lambda c, plan: c.one_of(*options)


def seldom(one_in: int, field: Field, usual: Any) -> Field:
    """`usual`, and once in `one_in` times what `field` draws."""
    return lambda c, plan: field(c, plan) if c.chance(one_in) else usual


def inputs(plan: Plan, sizes: tuple[int, ...] | None = None, features: int | None = None) -> Values:
    """`(*batch, *spatial, channels)` of the plan's dtype."""
    spatial = plan["sizes"] if sizes is None else sizes
    last = plan["channels"] if features is None else features
    return Values((*plan["batch"], *spatial, last), plan["dtype"], "normal", plan["seed"])


def beside(plan: Plan, shape: tuple[int, ...], place: int, **changes: Any) -> Values:
    """Another array of the same call, the `place`-th."""
    return Values(shape, changes.get("dtype", plan["dtype"]), changes.get("kind", "normal"),
                  plan["seed"] + 65536 * place)  # fmt: skip


def samples(plan: Plan, shape: tuple[int, ...]) -> Values:
    """Numbers below 1 for a pool that draws, in float64 for such inputs, else in float32."""
    dtype = "float64" if plan["dtype"] == "float64" else "float32"
    return beside(plan, shape, 1, dtype=dtype, kind="uniform")


def arguments(plan: Plan, *names: str, **renamed: str) -> dict[str, Any]:
    """The plan's fields as arguments: those of `names`, and `argument=field` of `renamed`."""
    same = {name: plan[name] for name in names}
    return {**same, **{argument: plan[field] for argument, field in renamed.items()}}


def count(shape: tuple[int, ...]) -> int:
    """Elements."""
    return math.prod(shape)
