"""Hands gradients back through a Jaxpr by another rule at every ReLU, which no autodiff can do."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend import core

from jaxcnn._modules.interpret import CALLS, RULED, bound, contains, inner, reading


class Hidden(Exception):
    """A ReLU runs inside a loop, a branch or a rule of its own."""


Gate = Callable[[Any, Any], Any]


def pull_back(
    closed: Any,
    values: Sequence[Any],
    moving: Sequence[bool],
    gate: Gate,
    zeros: Sequence[bool] = (),
) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]], int]:
    """Runs a Jaxpr and hands gradients back through it, by a rule of its own at every ReLU.

    A ReLU is a maximum with 0, as `jax.nn.relu`, `nnx.relu`, `jnp.maximum(x, 0)` and
    `jnp.clip(x, 0)` are.

    Args:
      closed: the Jaxpr.
      values: of its inputs.
      moving: which of them gradients are asked for.
      gate: from what goes into a ReLU and the gradient that arrives to where it is let through.
      zeros: which of the inputs are known to be 0; () if none is.
    Returns:
      The outputs, what turns gradients by them into such by the inputs (None for those that do not
      move), and how many ReLUs were met.
    Raises:
      Hidden: by a ReLU inside a loop or a branch.
    """
    jaxpr = getattr(closed, "jaxpr", closed)
    known, value = reading(closed, values)
    moves = {v for v, m in zip(jaxpr.invars, moving, strict=True) if m}
    steps: list[tuple[Any, list[int], Any]] = []
    met = 0
    zero = _zeros(jaxpr, zeros)
    for equation in jaxpr.eqns:
        given = [value(variable) for variable in equation.invars]
        own = [
            place
            for place, v in enumerate(equation.invars)
            if not isinstance(v, core.Literal) and v in moves
        ]
        if not own:
            outputs = bound(equation, given)
        else:
            outputs, pull, more = _step(equation, given, own, gate, zero(equation))
            met += more
            steps.append((equation, own, pull))
            moves |= {v for v, out in zip(equation.outvars, outputs, strict=True) if _inexact(out)}
        known.update(zip(equation.outvars, outputs, strict=True))

    def pulled(cotangents: Sequence[Any]) -> list[Any]:
        arrived: dict[Any, Any] = {}

        def add(variable: Any, cotangent: Any) -> None:
            before = arrived.get(variable)
            arrived[variable] = cotangent if before is None else before + cotangent

        for variable, cotangent in zip(jaxpr.outvars, cotangents, strict=True):
            if not isinstance(variable, core.Literal) and variable in moves:
                add(variable, cotangent)
        for equation, own, pull in reversed(steps):
            if not any(variable in arrived for variable in equation.outvars):
                continue
            there = [
                arrived.get(v) if v in arrived else jax.numpy.zeros(v.aval.shape, v.aval.dtype)
                for v in equation.outvars
            ]
            for place, cotangent in zip(own, pull(there), strict=True):
                add(equation.invars[place], cotangent)
        return [
            arrived.get(v, jax.numpy.zeros(v.aval.shape, v.aval.dtype)) if m else None
            for v, m in zip(jaxpr.invars, moving, strict=True)
        ]

    return [value(variable) for variable in jaxpr.outvars], pulled, met


def _step(
    equation: Any, given: list[Any], own: list[int], gate: Gate, zeros: list[bool]
) -> tuple[list[Any], Callable[[list[Any]], list[Any]], int]:
    """One equation: its outputs, its pullback by those operands that move, and its ReLUs."""
    kind = equation.primitive.name
    if _is_relu(equation, zeros) and len(own) == 1:
        entering = given[own[0]]

        def rectified(arrived: list[Any]) -> list[Any]:
            return [jax.numpy.where(gate(entering, arrived[0]), arrived[0], 0)]

        return bound(equation, given), rectified, 1
    if _holds_relu(equation, zeros):
        plain = kind == "custom_jvp_call" and not contains(equation, _is_more)
        if kind in CALLS or plain:
            moving = [place in own for place in range(len(given))]
            outputs, pull, met = pull_back(inner(equation), given, moving, gate, zeros)
            return outputs, lambda arrived: [pull(arrived)[place] for place in own], met
        if kind in ("scan", "while", "cond"):
            raise Hidden

    def function(*moved: Any) -> list[Any]:
        values = list(given)
        for place, moved_value in zip(own, moved, strict=True):
            values[place] = moved_value
        return [output for output in bound(equation, values) if _inexact(output)]

    outputs = bound(equation, given)
    smooth = [_inexact(output) for output in outputs]
    _, pull = jax.vjp(function, *(given[place] for place in own))

    def differentiated(arrived: list[Any]) -> list[Any]:
        return list(pull([a for a, is_smooth in zip(arrived, smooth, strict=True) if is_smooth]))

    return outputs, differentiated, 0


_KEEPING = {"broadcast_in_dim", "convert_element_type", "copy", "reshape", "stop_gradient"}


def _zeros(jaxpr: Any, zeros: Sequence[bool]) -> Callable[[Any], list[bool]]:
    """Tells which operands of an equation are 0, whatever the inputs are.

    Args:
      jaxpr: that the equation is of.
      zeros: which of its inputs are 0; () if none is.
    """
    known = {v for v, is_zero in zip(jaxpr.invars, zeros, strict=False) if is_zero}

    def told(equation: Any) -> list[bool]:
        return [
            not jax.numpy.ndim(v.val) and v.val == 0 if isinstance(v, core.Literal) else v in known
            for v in equation.invars
        ]

    for equation in jaxpr.eqns:
        if equation.primitive.name in _KEEPING and told(equation)[0]:
            known.update(equation.outvars)
    return told


def _is_relu(equation: Any, zeros: Sequence[bool]) -> bool:
    """Whether an equation takes the larger of something and 0."""
    return equation.primitive.name == "max" and sum(zeros) == 1


def _holds_relu(equation: Any, zeros: Sequence[bool]) -> bool:
    """Whether an equation, or one inside it, is a ReLU."""
    if _is_relu(equation, zeros):
        return True
    calls = equation.primitive.name in CALLS | RULED
    for part in core.jaxprs_in_params(equation.params):
        jaxpr = getattr(part, "jaxpr", part)
        zero = _zeros(jaxpr, zeros if calls else ())
        if any(_holds_relu(each, zero(each)) for each in jaxpr.eqns):
            return True
    return False


def _is_more(equation: Any) -> bool:
    """Whether an equation computes what no ReLU and none with an upper end does."""
    return equation.primitive.name not in {"custom_jvp_call", "jit", "pjit", "max", "min"}


def _inexact(value: Any) -> bool:
    return jax.numpy.issubdtype(jax.numpy.result_type(value), jax.numpy.inexact)
