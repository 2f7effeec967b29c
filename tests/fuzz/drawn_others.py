"""Pools whose windows follow from the size, and what only moves pixels."""

from tests.fuzz.calls import Call
from tests.fuzz.choices import Choices
from tests.fuzz.drawn_pools import ANY, COPIES, INDEXED, MAXIMA, NUMBERS, REAL, SUMS
from tests.fuzz.primitives import (
    Plan,
    Primitive,
    arguments,
    batch,
    channels,
    choice,
    count,
    inputs,
    rank,
    register,
    samples,
    sizes,
    window,
)

PLACE = {"rank": rank, "batch": batch, "sizes": sizes, "channels": channels}


def grid(c: Choices, plan: Plan) -> tuple[int, ...]:
    """A number of windows for every axis."""
    return tuple(c.integer(1, 4) for _ in range(plan["rank"]))


def grid_or_none(c: Choices, plan: Plan) -> tuple[int | None, ...]:
    """The same, None where the axis stays as it is."""
    return tuple(None if c.chance(5) else n for n in grid(c, plan))


def filled(plan: Plan) -> bool:
    """Only batch axes may be empty."""
    return min(plan["sizes"]) >= 1 and plan["channels"] >= 1


def with_options(name: str, *options: str, **renamed: str):
    """Builds a call of inputs and options."""
    return lambda plan: Call(name, {"inputs": inputs(plan), **arguments(plan, *options, **renamed)})


def some_axes(c: Choices, plan: Plan):
    """None, or axes of the array, negative ones among them."""
    ndim = len(plan["batch"]) + plan["rank"] + 1
    kind = c.integer(0, 3)
    if kind == 0:
        return None
    chosen = [axis for axis in range(ndim) if c.integer(0, 1)] or [0]
    named = tuple(axis - ndim if c.integer(0, 1) else axis for axis in chosen)
    return named[0] if kind == 1 else named


def global_valid(plan: Plan) -> bool:
    """The axes that are reduced may not be empty, nor the channels."""
    shape = (*plan["batch"], *plan["sizes"], plan["channels"])
    axes = plan["spatial_axes"]
    if axes is None:
        axes = range(1, len(shape) - 1)
    axes = [axes] if isinstance(axes, int) else list(axes)
    there = all(-len(shape) <= axis < len(shape) for axis in axes)
    if not there or len({axis % len(shape) for axis in axes}) < len(axes):
        return False
    return bool(axes) and shape[-1] > 0 and 0 not in [shape[axis] for axis in axes]


def fractional(name: str):
    """Builds a call with samples for every image and channel."""

    def build(plan: Plan) -> Call:
        shape = (*plan["batch"], plan["channels"], plan["rank"])
        made = with_options(name, "output_shape", window_shape="window")(plan)
        return made.changed(samples=samples(plan, shape))

    return build


def fractional_valid(plan: Plan) -> bool:
    """There must be room for so many windows."""
    room = zip(plan["sizes"], plan["window"], plan["output_shape"], strict=True)
    return filled(plan) and all(n - k + 1 >= m for n, k, m in room)


def levels(c: Choices, plan: Plan):
    """One to three grids."""
    return tuple(grid(c, plan) for _ in range(c.integer(1, 3)))


def sizes_of_blocks(plan: Plan) -> tuple[int, ...]:
    """Sizes that mostly are multiples of the block."""
    parts = zip(plan["sizes"], plan["block"], strict=True)
    return tuple(n * r + plan["left_over"] for n, r in parts)


def coarse(plan: Plan) -> Call:
    """Blocks become channels."""
    return Call("space_to_depth", {
        "inputs": inputs(plan, sizes_of_blocks(plan)),
        **arguments(plan, "order", block_shape="block"),
    })  # fmt: skip


def coarse_valid(plan: Plan) -> bool:
    """Every axis is a multiple of its block."""
    parts = zip(sizes_of_blocks(plan), plan["block"], strict=True)
    return plan["channels"] > 0 and all(n > 0 and n % r == 0 for n, r in parts)


def channels_of_blocks(plan: Plan) -> int:
    """Channels that mostly are a multiple of the block's pixels."""
    return plan["channels"] * count(plan["block"]) + plan["left_over"]


def fine(plan: Plan) -> Call:
    """Channels become blocks."""
    return Call("depth_to_space", {
        "inputs": inputs(plan, features=channels_of_blocks(plan)),
        **arguments(plan, "order", block_shape="block"),
    })  # fmt: skip


def fine_valid(plan: Plan) -> bool:
    """The block's pixels share the channels."""
    features = channels_of_blocks(plan)
    return features > 0 and features % count(plan["block"]) == 0 and min(plan["sizes"]) >= 1


BLOCK = {"block": grid, "order": choice("CRD", "DCR"), "left_over": choice(0, 0, 0, 0, 1)}
GLOBAL = {**PLACE, "spatial_axes": some_axes, "keepdims": choice(False, True)}
FRACTIONAL = {**PLACE, "window": window, "output_shape": grid, "dtype": REAL}

register(
    Primitive("adaptive_avg_pool", {**PLACE, "dtype": NUMBERS, "output_shape": grid_or_none},
              with_options("adaptive_avg_pool", "output_shape"), filled, **SUMS),
    *(
        Primitive(name, {**PLACE, "dtype": REAL, "output_shape": grid_or_none},
                  with_options(name, "output_shape"), filled, **kinds)
        for name, kinds in (("adaptive_max_pool", MAXIMA),
                            ("adaptive_max_pool_with_indices", INDEXED))
    ),
    Primitive("global_avg_pool", {**GLOBAL, "dtype": NUMBERS},
              with_options("global_avg_pool", "spatial_axes", "keepdims"), global_valid, **SUMS),
    Primitive("global_max_pool", {**GLOBAL, "dtype": REAL},
              with_options("global_max_pool", "spatial_axes", "keepdims"), global_valid, **MAXIMA),
    *(
        Primitive(name, FRACTIONAL, fractional(name), fractional_valid, **kinds)
        for name, kinds in (("fractional_max_pool", MAXIMA),
                            ("fractional_max_pool_with_indices", INDEXED))
    ),
    Primitive("spatial_pyramid_pool", {**PLACE, "dtype": REAL, "levels": levels,
              "reducer": choice("max", "avg")},
              with_options("spatial_pyramid_pool", "levels", "reducer"), filled, **MAXIMA),
    Primitive("dilate", {**PLACE, "dtype": ANY, "rate": grid}, with_options("dilate", "rate"),
              filled, **COPIES),
    Primitive("space_to_depth", {**PLACE, "dtype": ANY, **BLOCK}, coarse, coarse_valid, **COPIES),
    Primitive("depth_to_space", {**PLACE, "dtype": ANY, **BLOCK}, fine, fine_valid, **COPIES),
)  # fmt: skip
