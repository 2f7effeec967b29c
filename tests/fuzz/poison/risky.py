"""Drawn calls of the geometries in which a program is likeliest to leave its arrays.

Amounts of padding that cancel, crop, are unequal or larger than the window; windows of the whole
input, outputs of a single pixel. Numbers are of 32 bits.
"""

import dataclasses
import zlib
from collections.abc import Iterator

import numpy as np

from tests.fuzz import (  # noqa: F401  these register what they draw
    drawn_convolutions,
    drawn_others,
    drawn_pools,
    drawn_transposed,
)
from tests.fuzz.calls import Call, Values
from tests.fuzz.choices import Choices
from tests.fuzz.primitives import (
    PRIMITIVES,
    Field,
    Plan,
    Primitive,
    conv_padding,
    pool_padding,
    window,
)

LARGEST = {1: 20, 2: 10, 3: 5}  # pixels of an axis, by the number of axes
CROPS = ("conv", "depthwise_conv", "separable_conv", "conv_local", "partial_conv", "resize_conv",
         "deform_conv", "conv_transpose", "conv_general_dilated")  # fmt: skip
NARROW = {"float64": "float32", "complex128": "complex64", "int64": "int32"}
TRIES = 200  # plans for one that is valid

# Which read outside of their inputs once, on JAX 0.10.2.
KNOWN = (
    Call("conv", {
        "inputs": Values((2, 6, 6, 6), "float32", seed=1), "strides": 2,
        "kernel": Values((1, 5, 6, 3), "float32", seed=2), "padding": ((-2, 2), (-1, 1))},
        (3, 1), ((-2, 2), (-1, 1))),
    Call("conv", {
        "inputs": Values((3, 9, 12, 6), "float32", seed=3), "padding": ((-1, 1), (0, 0)),
        "kernel": Values((9, 11, 6, 2), "float32", seed=4)}, (1, 2), ((-1, 1), (0, 0))),
    Call("conv_transpose", {  # in its kernel's gradient
        "inputs": Values((2, 3, 9, 12, 3), "float32", seed=5), "transpose_kernel": True,
        "kernel": Values((3, 3, 5, 3), "float32", seed=6), "strides": 2,
        "padding": ((2, 0), (1, 2))}, (17, 22)),
)  # fmt: skip


def calls(name: str, count: int, seed: int) -> Iterator[Call]:
    """Valid calls of one primitive, the same for the same seed."""
    rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
    choices = Choices(lambda below: int(rng.integers(below)))
    primitive = _with_risk(PRIMITIVES[name])
    for _ in range(count):
        for _ in range(TRIES):
            plan = primitive.plan(choices)
            if primitive.valid(plan):
                yield _of_32_bits(primitive.call(plan))
                break


def _with_risk(primitive: Primitive) -> Primitive:
    """The primitive with other fields in place of those that say where its windows lie."""
    fields: dict[str, Field] = dict(primitive.fields)
    padding = _padding(conv_padding if primitive.name in CROPS else pool_padding,
                       primitive.name in CROPS)  # fmt: skip
    general = primitive.name == "conv_general_dilated"
    for field, risky in {
        "sizes": _sizes,
        "window": _window,
        "padding": _padding_by_axis if general else padding,
        "batch": lambda c, plan: c.one_of((2,), (3,), (1,), (2, 2), ()),
    }.items():
        if field in fields:
            fields[field] = risky
    return dataclasses.replace(primitive, fields=fields)


def _sizes(c: Choices, plan: Plan) -> tuple[int, ...]:
    return tuple(c.integer(1, LARGEST[plan["rank"]]) for _ in range(plan["rank"]))


def _window(c: Choices, plan: Plan) -> tuple[int, ...]:
    """Small, or of the whole input, a pixel more or less."""
    usual = window(c, plan)
    return tuple(
        max(n + c.one_of(0, -1, 1), 1) if c.chance(3) else k
        for n, k in zip(plan["sizes"], usual, strict=True)
    )


def _pair(c: Choices, taps: int, crops: bool) -> tuple[int, int]:
    low, high = c.integer(0, 3), c.integer(0, 3)
    shift = c.integer(1, 3)
    pairs = [(low, high), (taps - 1, low), (high, taps - 1), (taps + low, high), (0, 0)]
    if crops:
        pairs += [(-shift, shift), (shift, -shift), (-low, -high), (-low, taps), (taps, -high)]
    return c.one_of(*pairs)


def _padding_by_axis(c: Choices, plan: Plan) -> tuple[tuple[int, int], ...]:
    return tuple(_pair(c, k, True) for k in plan["window"])


def _padding(usual: Field, crops: bool) -> Field:
    def field(c: Choices, plan: Plan):
        if c.chance(5):
            return usual(c, plan)
        return tuple(_pair(c, k, crops) for k in plan["window"])

    return field


def _of_32_bits(call: Call) -> Call:
    """What a user has who asks for nothing."""

    def narrow(value):
        if isinstance(value, Values):
            return dataclasses.replace(value, dtype=NARROW.get(value.dtype, value.dtype))
        return NARROW.get(value, value) if isinstance(value, str) else value

    return call.changed(**{name: narrow(value) for name, value in call.arguments.items()})
