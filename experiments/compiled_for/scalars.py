"""What the instructions of a TPU's core make of scalars: 32 bits, truth values, or unknown."""

import operator
from collections.abc import Callable

Value = int | bool | None  # None is unknown


def unsigned(value: int) -> int:
    """Its 32 bits as a number from 0."""
    return value & 0xFFFFFFFF


def signed(value: int) -> int:
    """Its 32 bits as a number with a sign."""
    value = unsigned(value)
    return value - (1 << 32) if value >> 31 else value


def divided(one: Value, other: Value) -> tuple[Value, Value]:
    """Quotient and remainder."""
    if one is None or not other:
        return None, None
    return divmod(unsigned(int(one)), int(other))


def _and(one: Value, other: Value) -> Value:
    if one is None or other is None:
        return False if one is False or other is False else None
    return bool(one and other)


def _or(one: Value, other: Value) -> Value:
    if one is None or other is None:
        return True if one or other else None
    return bool(one or other)


def _not(value: Value) -> Value:
    return None if value is None else not value


MOVES = {"smov", "pmov", "int_to_ptr.hbm", "int_to_ptr.vmem", "int_to_ptr.smem"}
LOGIC: dict[str, Callable[[Value, Value], Value]] = {
    "pand": _and,
    "por": _or,
    "pnand": lambda one, other: _not(_and(one, other)),
    "pnor": lambda one, other: _not(_or(one, other)),
}
RELATIONS: dict[str, Callable[[int, int], bool]] = {
    name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")
}
ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "sadd.s32": operator.add,
    "ssub.s32": operator.sub,
    "smul.u32": operator.mul,
    "smulhi.u32": lambda one, other: unsigned(one) * unsigned(other) >> 32,
    "sand.u32": operator.and_,
    "sor.u32": operator.or_,
    "sxor.u32": operator.xor,
    "sshll.u32": lambda one, other: one << (other & 31),
    "sshra.s32": lambda one, other: signed(one) >> (other & 31),
    "sshrl.u32": lambda one, other: unsigned(one) >> (other & 31),
    "smin.u32": lambda one, other: min(unsigned(one), unsigned(other)),
    "smax.u32": lambda one, other: max(unsigned(one), unsigned(other)),
    "smin.s32": lambda one, other: min(signed(one), signed(other)),
    "smax.s32": lambda one, other: max(signed(one), signed(other)),
}
