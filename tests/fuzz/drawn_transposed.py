"""Transposed convolution, and convolution under the signature of `lax`."""

from tests.fuzz.calls import Call
from tests.fuzz.choices import Choices, entries
from tests.fuzz.drawn_convolutions import (
    ALGORITHM,
    GROUPS,
    KERNELS,
    PLACE,
    PRODUCT,
    channels_of,
    common,
    common_kinds,
    only,
    with_bias,
)
from tests.fuzz.primitives import (
    Plan,
    Primitive,
    arguments,
    beside,
    choice,
    inputs,
    pair_padding,
    register,
    seldom,
    sizes,
)
from tests.fuzz.rules import (
    amounts,
    fill_of,
    names_a_fill,
    span,
    sums_would_wrap,
    window_starts,
)

LAYOUTS = {
    "channels first": (None, None, None),
    "channels last": (("NWC", "WIO", "NWC"), ("NHWC", "HWIO", "NHWC"), ("NDHWC", "DHWIO", "NDHWC")),
    "batch last": (("CWN", "IWO", "CWN"), ("CHWN", "IHWO", "CHWN"), ("CDHWN", "IDHWO", "CDHWN")),
}


def target(c: Choices, plan: Plan) -> int | tuple[int, ...] | None:
    """A wanted output size near the ones that can be reached."""
    if not c.chance(4):
        return None
    strides = entries(plan["strides"], plan["rank"])
    return tuple(
        max(n * s + c.integer(-2, 2), 1) for n, s in zip(plan["sizes"], strides, strict=True)
    )


def reached(plan: Plan) -> tuple[int, ...] | None:
    """The sizes of the output by the contract's table; None where it refuses."""
    rank, padding, mode = plan["rank"], plan["padding"], fill_of(plan)
    # The kernel's last axis follows the inputs where it is transposed, and one group divides all.
    agree = plan["divided"] or (plan["transpose_kernel"] and plan["groups"] == 1)
    if mode is None or sums_would_wrap(plan) or not agree or min(plan["sizes"]) < 1:
        return None
    strides, rates, more = (
        entries(plan[name], rank) for name in ("strides", "dilation", "output_padding")
    )
    spans = list(map(span, plan["window"], rates))
    name = padding.upper() if isinstance(padding, str) else ""
    if name == "CAUSAL" and rank != 1:
        return None
    wanted = plan["output_shape"] and entries(plan["output_shape"], rank)
    sizes = []
    for axis, (n, s, d, e, extra) in enumerate(
        zip(plan["sizes"], strides, rates, spans, more, strict=True)
    ):
        if extra >= max(s, d) or (wanted and any(more)):
            return None
        if name in ("SAME", "SAME_LOWER", "CIRCULAR"):
            least, usual, choices = (n - 1) * s + 1, n * s, s
        else:
            pair = amounts(padding if name else [padding] * rank if isinstance(padding, int)
                           else padding, [1] * rank, spans, strides)[axis]  # fmt: skip
            if min(pair) < 0 and mode != "zeros":
                return None
            least, choices = (n - 1) * s + e - sum(pair), max(s, d)
            usual = {"VALID": n * s + max(e - s, 0), "CAUSAL": n * s, "REFLECT": n * s}.get(
                name, least
            )
        size = wanted[axis] if wanted else usual + extra
        if size < 1 or (wanted and not least <= size < least + choices):
            return None
        sizes.append(size)
    return tuple(sizes)


def pads(plan: Plan) -> tuple[tuple[int, int], ...] | None:
    """The amounts that a name stands for; None where output padding goes beyond them."""
    name, rank = plan["padding"], plan["rank"]
    if not isinstance(name, str) or any(entries(plan["output_padding"], rank)):
        return None
    if name == "CIRCULAR":
        name = "SAME_LOWER" if plan["transpose_kernel"] else "SAME"
    strides = entries(plan["strides"], rank)
    spans = list(map(span, plan["window"], entries(plan["dilation"], rank)))
    usual = [n * s for n, s in zip(plan["sizes"], strides, strict=True)]
    found = amounts(name, plan["output_shape"] or usual, spans, strides)
    return found and tuple(found)


def transpose(plan: Plan) -> Call:
    """The kernel in one of its two forms."""
    groups = plan["groups"]
    in_features, per_group, out = channels_of(plan)
    shape = (*plan["window"], per_group, out)
    if plan["transpose_kernel"]:
        shape = (*plan["window"], out // groups, in_features)
    options = ("strides", "padding", "padding_mode", "output_padding", "transpose_kernel",
               "algorithm")  # fmt: skip
    shape_wanted = {} if plan["output_shape"] is None else arguments(plan, "output_shape")
    return Call("conv_transpose", {
        "inputs": inputs(plan, features=in_features), "kernel": beside(plan, shape, 1),
        **with_bias(plan, out), **arguments(plan, *options, feature_group_count="groups"),
        **shape_wanted, **common(plan),
    })  # fmt: skip


def general(plan: Plan) -> Call:
    """Both arrays in the order of the layout."""
    rank, specs = plan["rank"], LAYOUTS[plan["layout"]][plan["rank"] - 1]
    in_features, per_group, out = channels_of(plan)
    batch = plan["images"] * plan["batch_groups"]
    if plan["batch_groups"] > 1:
        out *= plan["batch_groups"]
    sides = {"N": batch, "C": in_features, "I": per_group, "O": out}
    letters = ("NCXYZ"[: rank + 2], "OIXYZ"[: rank + 2])
    if specs:
        letters = specs[:2]
    shapes = []
    for spec, lengths in zip(letters, (plan["sizes"], plan["window"]), strict=True):
        rest = iter(lengths)
        shapes.append(tuple(sides[x] if x in sides else next(rest) for x in spec))
    named = {} if specs is None else {"dimension_numbers": specs}
    if plan["preferred"] is not None:
        named["preferred_element_type"] = plan["preferred"]
    return Call("conv_general_dilated", {
        "lhs": beside(plan, shapes[0], 0), "rhs": beside(plan, shapes[1], 1),
        "window_strides": entries(plan["strides"], rank), "padding": plan["padding"],
        "lhs_dilation": entries(plan["input_dilation"], rank),
        "rhs_dilation": entries(plan["dilation"], rank), **named,
        "feature_group_count": plan["groups"], "batch_group_count": plan["batch_groups"],
        "precision": plan["precision"],
    })  # fmt: skip


def general_valid(plan: Plan) -> bool:
    """As for `conv`, with zeros for its only fill."""
    if names_a_fill(plan["padding"]) or sums_would_wrap(plan) or not plan["divided"]:
        return False
    if plan["groups"] > 1 and plan["batch_groups"] > 1:
        return False
    return window_starts(plan, crop=True) is not None


def general_sizes(c: Choices, plan: Plan) -> tuple[int, ...]:
    """Spatial sizes, none empty: where padding is all that windows see `lax` is the reference."""
    return tuple(max(size, 1) for size in sizes(c, plan))


def general_padding(c: Choices, plan: Plan):
    """A name, or a pair for each axis."""
    if c.integer(0, 1):
        low = -1 if c.chance(3) else 0
        return tuple((c.integer(low, 3), c.integer(low, 2)) for _ in range(plan["rank"]))
    return c.one_of("SAME", "VALID", "SAME_LOWER")


def more_pixels(c: Choices, plan: Plan):
    """Output padding, seldom too much of it."""
    return c.per_axis(plan["rank"], 0, 1, 0, 1, 2)


def transposed_padding(c: Choices, plan: Plan):
    """Every name, and amounts of either sign."""
    if c.integer(0, 1):
        return pair_padding(c, plan, -1 if c.chance(3) else 0)
    return c.one_of("SAME", "VALID", "SAME_LOWER", "FULL", "CIRCULAR", "REFLECT", "CAUSAL", "valid")


register(
    Primitive("conv_transpose", {
        **only(PLACE, "input_dilation", padding=transposed_padding), **PRODUCT, **GROUPS,
        **ALGORITHM,
        "transpose_kernel": choice(False, True), "output_padding": seldom(3, more_pixels, 0),
        "output_shape": target}, transpose, lambda plan: reached(plan) is not None,
        gradients=KERNELS, **{**common_kinds, "windows": reached, "pads": pads}),
    Primitive("conv_general_dilated", {
        **only(PLACE, "bias", "padding_mode", "batch", padding=general_padding,
               sizes=general_sizes),
        **PRODUCT,
        **GROUPS, "layout": choice("channels last", *LAYOUTS), "images": choice(2, 1, 0),
        "batch_groups": seldom(5, choice(2), 1)}, general, general_valid,
        gradients=("lhs", "rhs"), special=("lhs",),
        **{**common_kinds, "windows": lambda plan: None}),
)  # fmt: skip
