"""Reads in the Jaxpr of a function which places of its input each output sees.

Some axes of the input are followed from equation to equation. An output at place i of such an axis
may see place i alone, the places of a window, or all of them.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
from flax import nnx
from flax.errors import TraceContextError
from jax.extend import core

from jaxcnn._modules.place_rules import (
    ELEMENTWISE,
    RULES,
    Seen,
    Unknown,
    dot_general,
    joined,
    kept,
    union,
)

# Primitives that do what their first Jaxpr says.
CALLS = {
    *("jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"),
    *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
}


# Tried one after the other: a function may have parameters for so many channels, and no more.
CHANNELS = (
    4,
    3,
    1,
    2,
    6,
    10,
    *(2**power for power in range(3, 13)),
    *(96 * 2**n for n in range(4)),
)


class Sees(Protocol):
    """What the places of one axis see."""

    def windows(self, taps: Sequence[int], stride: int, units: int) -> Any:
        """Of places j that see the places j*stride + tap of this axis."""

    def union(self, other: Any) -> Any:
        """Of places that see what either sees."""


class Here:
    """Places that see themselves, and nothing else."""

    def windows(self, taps: Sequence[int], stride: int, units: int) -> "Here":
        """Refuses windows."""
        raise Unknown("a window")

    def union(self, other: "Here") -> "Here":
        """The same places."""
        return self


def follow(
    function: Callable[..., Any], shape: Sequence[int], axes: Sequence[int], sees: Sequence[Sees]
) -> tuple[Any, ...] | None:
    """What the outputs of `function` see along its followed axes; None for all of all places.

    Args:
      function: of one array, which gives one.
      shape: of that array, but for its last axis, whose size is one that the function takes.
      axes: those that are followed.
      sees: what each of them sees before.
    Raises:
      Unknown: the outputs have not the same axes, or see what is not known.
    """
    jaxpr = _traced(function, tuple(shape))
    followed = {axis: number for number, axis in enumerate(axes)}
    start = Seen((*(followed.get(axis) for axis in range(len(shape))), None), tuple(sees))
    found, *others = _through(jaxpr, [start])
    if found is None or others:
        raise Unknown("none of its input" if found is None else "more than one array")
    if not any(found.sees):
        return None
    if not all(found.sees):
        raise Unknown("a sum over some axes of pixels and not the others")
    if found.axes != start.axes:
        raise Unknown("another order of axes")
    return found.sees


def pointwise(function: Callable[..., Any], shape: Sequence[int]) -> bool:
    """Whether every output sees its own place alone, for arrays `(*shape, channels)`."""
    try:
        return follow(function, shape, range(len(shape)), [Here()] * len(shape)) is not None
    except Unknown:
        return False


def name_of(layer: Any) -> str:
    """The name of a module's class, or of a function."""
    if isinstance(layer, nnx.Module):
        return type(layer).__name__
    inner = getattr(layer, "func", layer)  # of functools.partial
    return getattr(inner, "__name__", type(inner).__name__)


def _traced(function: Callable[..., Any], shape: tuple[int, ...]) -> Any:
    """The Jaxpr, with as many channels as the function takes."""
    refused = Exception()
    for channels in CHANNELS:
        try:
            return jax.make_jaxpr(function)(jax.ShapeDtypeStruct((*shape, channels), "float32"))
        except Exception as error:  # the function's own, of whatever kind
            if isinstance(error.__cause__, TraceContextError):
                raise
            refused = error
    (why, *_) = str(refused).splitlines() or [""]
    raise Unknown(f"no maps of {shape} and any channels: {type(refused).__name__}: {why}")


def _through(closed: Any, given: Sequence[Seen | None]) -> list[Seen | None]:
    """What the outputs of a Jaxpr see."""
    jaxpr = getattr(closed, "jaxpr", closed)
    known: dict[Any, Seen | None] = dict(zip(jaxpr.invars, given, strict=True))
    for equation in jaxpr.eqns:
        entering = [_read(known, variable) for variable in equation.invars]
        leaving: list[Seen | None] = [None] * len(equation.outvars)
        if any(entering):
            leaving = _after(equation, entering)
        known.update(zip(equation.outvars, leaving, strict=True))
    return [_read(known, variable) for variable in jaxpr.outvars]


def _read(known: dict[Any, Seen | None], variable: Any) -> Seen | None:
    """What a variable sees; constants see nothing."""
    return None if hasattr(variable, "val") else known.get(variable)


def _after(equation: Any, entering: list[Seen | None]) -> list[Seen | None]:
    """What the outputs of one equation see."""
    kind = equation.primitive.name
    if kind in ELEMENTWISE:
        return [joined(equation, entering)]
    first, *others = entering
    if kind in RULES and first and not any(others):
        return [RULES[kind](equation, first)] * len(equation.outvars)
    if kind == "optimization_barrier":
        return entering
    if kind == "dot_general" and None in entering:
        return [dot_general(equation, entering)]
    if kind == "concatenate":
        axes = [equation.params["dimension"]]
        return [joined(equation, [seen and kept(kind, seen, axes) for seen in entering])]
    parts = list(core.jaxprs_in_params(equation.params))
    if kind == "cond" and entering[0] is None:
        branches = [_through(part, entering[1:]) for part in parts]
        return [union(list(seen)) for seen in zip(*branches, strict=True)]
    if kind in CALLS:
        return _through(parts[0], entering)
    raise Unknown(f"`{kind}`")
