"""Pools over windows, morphology, and cutting into patches."""

from tests.fuzz.calls import REDUCERS, Call
from tests.fuzz.choices import Choices, entries
from tests.fuzz.primitives import (
    COMPLEX,
    FLOATS,
    INTEGERS,
    Plan,
    Primitive,
    arguments,
    batch,
    beside,
    channels,
    choice,
    count,
    inputs,
    pool_padding,
    pool_strides,
    rank,
    register,
    samples,
    seldom,
    sizes,
    steps,
    window,
)
from tests.fuzz.rules import (
    FILLS,
    amounts,
    pads,
    sees_padding_alone,
    span,
    starts,
    window_counts,
    window_starts,
)

EVERY_KIND = ("normal", "ties", "nan", "infinite", "minus infinity", "subnormal", "large")
SUMS = {"kinds": EVERY_KIND, "smooth": EVERY_KIND}
COPIES = {**SUMS, "apart": lambda plan: True}
# On a CPU XLA compares numbers below the normal ones as zeros: which of them wins is left open.
APART_FROM_ZERO = tuple(kind for kind in EVERY_KIND if kind != "subnormal")
MAXIMA = {"kinds": EVERY_KIND, "smooth": APART_FROM_ZERO}
INDEXED = {"kinds": APART_FROM_ZERO, "smooth": APART_FROM_ZERO}
REAL = choice(*FLOATS, *FLOATS, *INTEGERS)
NUMBERS = choice(*FLOATS, *FLOATS, *COMPLEX, *INTEGERS)
ANY = choice(*FLOATS, *FLOATS, *COMPLEX, *INTEGERS, "bool")
PLACE = {
    "rank": rank,
    "batch": batch,
    "sizes": sizes,
    "channels": channels,
    "window": window,
    "strides": pool_strides,
    "padding": pool_padding,
    "dilation": seldom(2, steps, 1),
}
MODES = {"padding_mode": seldom(3, choice("identity", *FILLS), "identity")}
CEIL = {"ceil_mode": choice(False, True)}


def laid(plan: Plan):
    """Where the windows begin; None where they do not fit or no channel is there."""
    return window_starts(plan, crop=False) if plan["channels"] else None


def fits(plan: Plan) -> bool:
    """Whether some window fits."""
    return laid(plan) is not None


def sees_pixels(plan: Plan) -> bool:
    """Whether every window has something to take the maximum of."""
    found = laid(plan)
    if found is None:
        return False
    shown = plan.get("padding_mode", "identity") != "identity"
    return shown or not sees_padding_alone(plan, found)


def pooled(name: str, *options: str):
    """Builds a call of a pool."""

    def build(plan: Plan) -> Call:
        return Call(name, {
            "inputs": inputs(plan),
            **arguments(plan, *options, "strides", "padding", window_shape="window",
                        window_dilation="dilation"),
        })  # fmt: skip

    return build


def average_valid(plan: Plan) -> bool:
    """What counts must not be padding that shows pixels."""
    shown = plan["padding_mode"] not in ("identity", "zeros")
    return fits(plan) and not (shown and not plan["count_include_pad"])


def indexed_valid(plan: Plan) -> bool:
    """A zero in the padding has no place."""
    return plan["padding_mode"] != "zeros" and sees_pixels(plan)


def any_reducer(plan: Plan) -> Call:
    """`init` is the reducer's neutral element."""
    call = pooled("pool", "reduce_fn")(plan)
    return call.changed(init=REDUCERS[plan["reduce_fn"]].init)


def blur(plan: Plan) -> Call:
    """The padding may be left to the function."""
    call = pooled("blur_pool", "padding_mode")(plan)
    left_out = {"window_dilation"} | ({"padding"} if plan["own_padding"] else set())
    return Call("blur_pool", {k: v for k, v in call.arguments.items() if k not in left_out})


def as_padded(plan: Plan) -> Plan:
    """Its own padding is half a window."""
    own = tuple(((k - 1) // 2, k // 2) for k in plan["window"])
    return {**plan, "padding": own} if plan["own_padding"] else plan


def blur_valid(plan: Plan) -> bool:
    """Whether some window fits under its padding."""
    return fits(as_padded(plan))


def stochastic(plan: Plan) -> Call:
    """Samples for every window, or none."""
    call = pooled("stochastic_pool", "ceil_mode")(plan)
    if plan["deterministic"]:
        return call.changed(deterministic=True)
    out = window_counts(laid(plan), plan["rank"])
    return call.changed(samples=samples(plan, (*plan["batch"], *out, plan["channels"])))


def grey(name: str):
    """Builds a call of a dilation or an erosion."""

    def build(plan: Plan) -> Call:
        return Call(name, {
            "inputs": inputs(plan), "kernel": beside(plan, (*plan["window"], plan["channels"]), 1),
            **arguments(plan, "strides", "padding", kernel_dilation="dilation"),
        })  # fmt: skip

    return build


def fold(plan: Plan) -> Call:
    """As many patches as the image has windows."""
    out = window_counts(laid(plan), plan["rank"])
    shape = (*plan["batch"], *out, *plan["window"], plan["channels"])
    return Call("fold", {
        "patches": beside(plan, shape, 0),
        **arguments(plan, "strides", "padding", output_shape="sizes", window_dilation="dilation"),
    })  # fmt: skip


def unpooled(plan: Plan) -> tuple[int, ...] | None:
    """The sizes that the pool takes to the plan's, None where there are none."""
    rank, padding = plan["rank"], plan["padding"]
    if min(plan["sizes"]) < 1 or not plan["channels"]:
        return None
    strides = entries(plan["strides"] or 1, rank)
    spans = list(map(span, plan["window"], entries(plan["dilation"], rank)))
    same = isinstance(padding, str) and padding.upper() in ("SAME", "SAME_LOWER")
    wanted = plan["output_shape"] or tuple(
        n * s for n, s in zip(plan["sizes"], strides, strict=True)
    )
    pairs = amounts(padding, wanted, spans, strides)
    if pairs is None or min(map(min, pairs)) < 0:
        return None
    if not (plan["output_shape"] or same):
        wanted = tuple(
            (n - 1) * s + e - low - high
            for n, s, e, (low, high) in zip(plan["sizes"], strides, spans, pairs, strict=True)
        )
    for m, n, e, s, pair in zip(wanted, plan["sizes"], spans, strides, pairs, strict=True):
        if m < 1 or n not in {len(starts(m, e, s, pair, ceil)) for ceil in (False, True)}:
            return None
    return wanted


def unpool(plan: Plan) -> Call:
    """Indices into the output, some of them alike."""
    sizes = unpooled(plan)
    values = inputs(plan)
    kind = f"below {count(sizes) if sizes else 1}"
    indices = beside(plan, values.shape, 1, dtype="int32", kind=kind)
    wanted = {} if plan["output_shape"] is None else arguments(plan, "output_shape")
    return Call("max_unpool", {
        "inputs": values, "indices": indices, **wanted,
        **arguments(plan, "strides", "padding", window_shape="window", window_dilation="dilation"),
    })  # fmt: skip


def wanted_shape(c: Choices, plan: Plan):
    """A size near those that the pool takes to the inputs'."""
    strides = entries(plan["strides"] or 1, plan["rank"])
    if not c.chance(3):
        return None
    return tuple(
        max((n - 1) * s + c.integer(-1, 4), 1)
        for n, s in zip(plan["sizes"], strides, strict=True)
    )  # fmt: skip


extreme = {"algorithm": seldom(4, choice("shift", "tree", "window", "at_once"), "auto")}
adding = {"algorithm": seldom(4, choice("shift", "window", "stages"), "auto")}
EXTREME_OPTIONS = ("padding_mode", "ceil_mode", "algorithm")
ints = {"strides": steps}
WHERE = {"windows": laid, "pads": pads}

register(
    *(
        Primitive(name, {**PLACE, "dtype": REAL, **MODES, **CEIL, **extreme},
                  pooled(name, *EXTREME_OPTIONS), sees_pixels, **MAXIMA, **WHERE)
        for name in ("max_pool", "min_pool")
    ),
    Primitive("max_pool_with_indices", {**PLACE, "dtype": REAL, **MODES, **CEIL},
              pooled("max_pool_with_indices", "padding_mode", "ceil_mode"), indexed_valid,
              **INDEXED, **WHERE),
    Primitive("avg_pool", {**PLACE, "dtype": NUMBERS, **MODES, **CEIL, **adding,
              "count_include_pad": choice(True, False),
              "divisor_override": seldom(4, choice(3, -2, 1), None)},
              pooled("avg_pool", *EXTREME_OPTIONS, "count_include_pad", "divisor_override"),
              average_valid, **SUMS, **WHERE),
    Primitive("sum_pool", {**PLACE, "dtype": NUMBERS, **MODES, **CEIL, **adding},
              pooled("sum_pool", *EXTREME_OPTIONS), fits, **SUMS, **WHERE),
    Primitive("lp_pool", {**PLACE, "dtype": REAL, **MODES, **CEIL, "algorithm":
              seldom(5, choice("shift"), "auto"), "norm_order":
              choice(2, 1, 3, 1.5, 0.5, 4.0, float("inf"))},
              pooled("lp_pool", *EXTREME_OPTIONS, "norm_order"), fits, **WHERE,
              kinds=("normal", "ties"), smooth=("normal", "ties")),
    Primitive("logsumexp_pool", {**PLACE, "dtype": REAL, **MODES, **CEIL,
              "algorithm": choice("auto", "shift", "at_once")},
              pooled("logsumexp_pool", *EXTREME_OPTIONS), fits, **WHERE, kinds=EVERY_KIND,
              smooth=("normal", "ties", "minus infinity", "subnormal", "large")),
    Primitive("pool", {**PLACE, "dtype": choice(*FLOATS), "reduce_fn": choice(*REDUCERS)},
              any_reducer, fits, **WHERE,
              kinds=("normal", "ties"), smooth=("normal", "ties")),
    Primitive("blur_pool", {**PLACE, "dtype": NUMBERS, "dilation": choice(1),
              "padding_mode": choice("reflect", *FILLS), "own_padding": choice(True, False)},
              blur, blur_valid, **SUMS, windows=lambda plan: laid(as_padded(plan)),
              pads=lambda plan: pads(as_padded(plan))),
    Primitive("stochastic_pool", {**PLACE, "dtype": choice(*FLOATS), **CEIL,
              "deterministic": choice(False, True)}, stochastic, fits, **WHERE,
              kinds=EVERY_KIND, smooth=("normal", "ties")),
    *(
        Primitive(name, {**PLACE, **ints, "dtype": REAL}, grey(name), sees_pixels,
                  gradients=("inputs", "kernel"), **MAXIMA, **WHERE)
        for name in ("grey_dilation", "grey_erosion")
    ),
    Primitive("unfold", {**PLACE, **ints, "dtype": ANY}, pooled("unfold"), fits, **COPIES, **WHERE),
    Primitive("fold", {**PLACE, **ints, "dtype": NUMBERS}, fold, fits, gradients=("patches",),
              special=("patches",), **SUMS, windows=lambda plan: plan["sizes"], pads=pads),
    Primitive("max_unpool", {**PLACE, "dtype": NUMBERS, "output_shape": wanted_shape}, unpool,
              lambda plan: unpooled(plan) is not None, **SUMS, windows=unpooled),
)  # fmt: skip
