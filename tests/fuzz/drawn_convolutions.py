"""Convolutions of every kind."""

import functools

from tests.fuzz.calls import FINITE, Call
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
    choice,
    conv_padding,
    count,
    inputs,
    rank,
    register,
    seldom,
    sizes,
    steps,
    window,
)
from tests.fuzz.rules import (
    FILLS,
    fill_of,
    names_a_fill,
    pads,
    sums_would_wrap,
    window_counts,
    window_starts,
)

# Not the order of the pools' EVERY_KIND: a seed picks a kind by its place, so that either order
# belongs to the draws whose counts the README states.
FINITE_FIRST = (*FINITE, "nan", "infinite", "minus infinity")
ALGORITHMS = ("direct", "canonical", "matmul", "shift", "taps", "fft", "groups", "blocks",
              "phases", "planes")  # fmt: skip
WIDER = {"int8": "int32", "uint8": "int32", "int16": "int32", "bfloat16": "float32",
         "float16": "float32", "float32": "float64", "complex64": "complex128"}  # fmt: skip


def preferred(c: Choices, plan: Plan) -> str | None:
    """A wider dtype: for most integers of 8 bits, seldom for others."""
    wider = WIDER.get(plan["dtype"])
    often = plan["dtype"] in ("int8", "uint8")
    return wider if c.integer(0, 5) > (0 if often else 4) else None


def drop_rate(c: Choices, plan: Plan):
    """Input dilation."""
    return c.per_axis(plan["rank"], 1, 2, 3)


PLACE = {
    "rank": rank,
    "batch": batch,
    "sizes": sizes,
    "dtype": choice(*FLOATS, *FLOATS, *COMPLEX, *INTEGERS),
    "window": window,
    "strides": steps,
    "padding": conv_padding,
    "padding_mode": seldom(3, choice(*FILLS), "zeros"),
    "input_dilation": seldom(3, drop_rate, 1),
    "dilation": seldom(2, steps, 1),
    "bias": choice(False, True),
}
PRODUCT = {
    "precision": seldom(6, choice("default", "high", "highest"), None),
    "preferred": preferred,
}
GROUPS = {
    "groups": choice(1, 1, 2, 3),
    "per_group": choice(1, 2, 3),
    "features": choice(1, 2, 3),
    "divided": seldom(30, choice(False), True),
}
ALGORITHM = {"algorithm": seldom(4, choice(*ALGORITHMS), "auto")}
FLIP = {"flip_kernel": choice(False, False, True)}
WHERE = ("strides", "padding", "padding_mode", "input_dilation")


def channels_of(plan: Plan) -> tuple[int, int, int]:
    """Input channels, those of the kernel, and output features; not divided by the groups."""
    groups = plan["groups"]
    extra = 0 if plan["divided"] else 1
    return groups * plan["per_group"] + extra, plan["per_group"], groups * plan["features"]


def found(plan: Plan, *, crop: bool = True):
    """Where the windows begin, None where the call is to be refused."""
    mode = fill_of(plan)
    if mode is None:
        return None
    if sums_would_wrap(plan) or not plan.get("divided", True):
        return None
    return window_starts(plan, crop=crop and mode == "zeros")


def apart(plan: Plan) -> bool:
    """A Fourier transform spreads a NaN over its channel, blocks of groups over their outputs.

    NumPy's complex infinity times a real number is not XLA's.
    """
    mixes = plan.get("algorithm", "auto") in ("fft", "blocks")
    return not (mixes or plan["dtype"] in COMPLEX)


def valid(plan: Plan) -> bool:
    """Whether the windows fit and the channels agree."""
    return found(plan) is not None


def common(plan: Plan) -> dict:
    """The options that all of them share."""
    named = {"kernel_dilation": plan["dilation"], "precision": plan["precision"]}
    if plan["preferred"] is not None:
        named["preferred_element_type"] = plan["preferred"]
    return named


def with_bias(plan: Plan, features: int, place: int = 2) -> dict:
    """`bias`, where the plan has one."""
    wide = plan.get("preferred") or plan["dtype"]
    return {"bias": beside(plan, (features,), place, dtype=wide)} if plan["bias"] else {}


def conv(plan: Plan, name: str = "conv", options=(*WHERE, "flip_kernel", "algorithm")) -> Call:
    """`conv` and those with its kernel."""
    in_features, per_group, out = channels_of(plan)
    kernel = beside(plan, (*plan["window"], per_group, out), 1)
    return Call(name, {
        "inputs": inputs(plan, features=in_features), "kernel": kernel, **with_bias(plan, out),
        **arguments(plan, *options, feature_group_count="groups"), **common(plan),
    })  # fmt: skip


def depthwise(plan: Plan) -> Call:
    """The kernel has a copy for every channel."""
    shape = (*plan["window"], plan["per_group"], plan["features"])
    features = plan["per_group"] * plan["features"]
    return Call("depthwise_conv", {
        "inputs": inputs(plan, features=plan["per_group"]), "kernel": beside(plan, shape, 1),
        **with_bias(plan, features), **arguments(plan, *WHERE, "flip_kernel", "algorithm"),
        **common(plan),
    })  # fmt: skip


def separable(plan: Plan) -> Call:
    """Two kernels."""
    between = plan["per_group"] * plan["features"]
    point = (*(1,) * plan["rank"], between, plan["groups"])
    return Call("separable_conv", {
        "inputs": inputs(plan, features=plan["per_group"]),
        "depthwise_kernel": beside(plan, (*plan["window"], plan["per_group"], plan["features"]), 1),
        "pointwise_kernel": beside(plan, point, 3), **with_bias(plan, plan["groups"]),
        **arguments(plan, *WHERE, "flip_kernel", "algorithm"), **common(plan),
    })  # fmt: skip


def local(plan: Plan) -> Call:
    """A kernel for every place."""
    out = window_counts(found(plan), plan["rank"])
    kernel = beside(plan, (*out, *plan["window"], plan["per_group"], plan["features"]), 1)
    bias = {}
    if plan["bias"]:
        shape = (*(out if plan["own_bias"] else ()), plan["features"])
        bias = {"bias": beside(plan, shape, 2, dtype=plan["preferred"] or plan["dtype"])}
    values = inputs(plan, features=plan["per_group"])
    return Call("conv_local", {
        "inputs": values, "kernel": kernel, **bias, **arguments(plan, *WHERE), **common(plan),
    })  # fmt: skip


def partial(plan: Plan) -> Call:
    """A mask of one channel or of all, of one image or of all."""
    call = conv(plan, "partial_conv")
    shape = call.arguments["inputs"].shape
    last = shape[-1] if plan["mask_channels"] else 1
    lead = () if plan["mask_shared"] else plan["batch"]
    mask = beside(plan, (*lead, *plan["sizes"], last), 4, dtype=plan["mask_dtype"], kind="mask")
    return call.changed(mask=mask)


def resize(plan: Plan) -> Call:
    """The windows lie on the resized plane."""
    options = ("padding", "padding_mode", "flip_kernel", "algorithm", "method")
    call = conv(plan, "resize_conv", options)
    if plan["to_shape"]:
        return call.changed(resized_shape=resized(plan))
    return call.changed(scale=plan["scale"])


def resized(plan: Plan) -> tuple[int, ...]:
    """The sizes of the resized plane."""
    scales = entries(plan["scale"], plan["rank"])
    more = plan["to_shape"]  # so that a size is no multiple
    return tuple(n * s + (more if n else 0) for n, s in zip(plan["sizes"], scales, strict=True))


def resize_valid(plan: Plan) -> bool:
    """Whole numbers cannot be interpolated."""
    if min(plan["sizes"]) < 1 or (plan["method"] == "linear" and plan["dtype"] in INTEGERS):
        return False
    return valid({**plan, "sizes": resized(plan)})


def deform(plan: Plan) -> Call:
    """Offsets for every tap of every window."""
    out = window_counts(found(plan), plan["rank"])
    groups = plan["per_group"] if plan["offset_groups"] else 1
    call = conv(plan, "deform_conv", ("strides", "padding"))
    in_features = call.arguments["inputs"].shape[-1]
    real = {"complex128": "float64", "complex64": "float32"}.get(plan["dtype"], plan["dtype"])
    moves = (*plan["batch"], *out, groups * count(plan["window"]) * plan["rank"])
    made = call.changed(offsets=beside(plan, moves, 5, dtype=real), offset_group_count=groups)
    if plan["mask"]:
        shape = (*moves[:-1], moves[-1] // plan["rank"])
        made = made.changed(mask=beside(plan, shape, 6, dtype=real, kind="uniform"))
    return made if in_features % groups == 0 else made.changed(offset_group_count=1)


def deform_valid(plan: Plan) -> bool:
    """It has no other fill than zeros."""
    return not names_a_fill(plan["padding"]) and valid(plan)


def only(plan_fields: dict, *left_out: str, **more) -> dict:
    """Fields without some, and with more."""
    return {**{k: v for k, v in plan_fields.items() if k not in left_out}, **more}


KERNELS = ("inputs", "kernel", "bias")
laid = {"windows": found, "pads": pads}
common_kinds = {"kinds": FINITE_FIRST, "smooth": FINITE, "apart": apart, **laid}
INEXACT = choice(*FLOATS, *COMPLEX)
SMALL = choice((1,), (), (2,), (1, 2), (0,))

register(
    Primitive("conv", {**PLACE, **PRODUCT, **GROUPS, **FLIP, **ALGORITHM}, conv, valid,
              gradients=KERNELS, **common_kinds),
    Primitive("depthwise_conv", {**PLACE, **PRODUCT, **only(GROUPS, "divided"), **FLIP,
              **ALGORITHM}, depthwise, valid, gradients=KERNELS, **common_kinds),
    Primitive("separable_conv", {**PLACE, **PRODUCT, **only(GROUPS, "divided"), **FLIP,
              **ALGORITHM}, separable, valid, **common_kinds,
              gradients=("inputs", "depthwise_kernel", "pointwise_kernel", "bias")),
    Primitive("conv_local", {**PLACE, **PRODUCT, **only(GROUPS, "divided", "groups"),
              "own_bias": choice(False, True)}, local, valid, gradients=KERNELS, **common_kinds),
    Primitive("partial_conv", {**only(PLACE, dtype=INEXACT), **PRODUCT, **GROUPS, **FLIP,
              **ALGORITHM, "mask_channels": choice(False, True),
              "mask_shared": choice(False, True),
              "mask_dtype": choice("bool", "int32", "float32", "float64")}, partial, valid,
              gradients=("inputs", "kernel", "mask", "bias"), **laid),
    Primitive("resize_conv", {**only(PLACE, "strides", "input_dilation"), **PRODUCT, **GROUPS,
              **FLIP, **ALGORITHM, "method": choice("nearest", "linear"),
              "scale": functools.partial(lambda c, plan: c.per_axis(plan["rank"], 2, 1, 3)),
              "to_shape": choice(0, 0, 1)}, resize, resize_valid, gradients=KERNELS,
              windows=lambda plan: found({**plan, "sizes": resized(plan)}),
              pads=lambda plan: pads(plan, resized(plan))),
    Primitive("deform_conv", {**only(PLACE, "padding_mode", "input_dilation", dtype=INEXACT,
              batch=SMALL), "precision": PRODUCT["precision"],
              "preferred": choice(None), **GROUPS,
              "offset_groups": choice(False, True), "mask": choice(False, True)},
              deform, deform_valid, kinds=("normal", "ties"), smooth=("normal", "ties"),
              gradients=("inputs", "kernel", "offsets", "bias", "mask"), **laid),
)  # fmt: skip
