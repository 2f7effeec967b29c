"""Runs a Jaxpr once more and looks inside it: what layers give, what happens if that is changed.

The names that a recording gives to the outputs of layers are in the Jaxpr, also inside `jax.jit`,
`nnx.remat` and loops of a known length, where no Python function can hand anything out.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import lax
from jax.extend import core

CALLS = {"jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"}
RULED = {"custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"}


def inner(equation: Any) -> Any:
    """The Jaxpr that an equation of a call runs."""
    return next(iter(core.jaxprs_in_params(equation.params)))


def contains(equation: Any, wanted: Callable[[Any], bool]) -> bool:
    """Whether an equation, or one inside it, is of a kind."""
    parts = core.jaxprs_in_params(equation.params)
    return wanted(equation) or any(
        contains(each, wanted) for part in parts for each in getattr(part, "jaxpr", part).eqns
    )


def loop_parts(equation: Any) -> tuple[int, int]:
    """How many operands of a `scan` stay as they are, and how many are carried."""
    options = equation.params
    if "num_consts" in options:
        return options["num_consts"], options["num_carry"]
    fixed, carried, _ = options["ft_in"].unpack()  # JAX 0.12 has trees
    return len(list(fixed.vals)), len(list(carried.vals))


def bound(equation: Any, values: Sequence[Any]) -> list[Any]:
    """The outputs of one equation."""
    options = equation.primitive.get_bind_params(equation.params)
    with equation.ctx.manager:
        outputs = equation.primitive.bind(*values, **options)
    return list(outputs) if equation.primitive.multiple_results else [outputs]


def reading(jaxpr: Any, values: Sequence[Any]) -> tuple[dict[Any, Any], Callable[[Any], Any]]:
    """The values of a Jaxpr's variables, at first of its inputs, and how to look one up."""
    closed, jaxpr = jaxpr, getattr(jaxpr, "jaxpr", jaxpr)
    known = dict(zip(jaxpr.invars, values, strict=True))
    known.update(zip(jaxpr.constvars, getattr(closed, "consts", ()), strict=True))
    return known, lambda v: v.val if isinstance(v, core.Literal) else known[v]


def evaluate(
    closed: Any, values: Sequence[Any], added: dict[str, Any], told: Callable[[str], bool]
) -> tuple[list[Any], dict[str, Any]]:
    """Runs a Jaxpr, adds something to named arrays, and hands them out.

    Args:
      closed: the Jaxpr.
      values: of its inputs.
      added: to the arrays of these names.
      told: which names are looked for.
    Returns:
      The outputs, and what bore the names, with one more axis for each loop that runs it; without
      what bears them inside `while` and branches.
    """

    def wanted(equation: Any) -> bool:
        name = equation.params.get("name")
        return equation.primitive.name == "name" and isinstance(name, str) and told(name)

    found: dict[str, Any] = {}
    known, value = reading(closed, values)
    for equation in getattr(closed, "jaxpr", closed).eqns:
        given, kind = [value(variable) for variable in equation.invars], equation.primitive.name
        if wanted(equation):
            name = equation.params["name"]
            outputs = [given[0] + added[name] if name in added else given[0]]
            found[name] = outputs[0]
        elif kind in CALLS | RULED and contains(equation, wanted):
            outputs, inside = evaluate(inner(equation), given, added, told)
            found |= inside
        elif kind == "scan" and contains(equation, wanted):
            outputs, inside = _scan(equation, given, added, told)
            found |= inside
        else:
            outputs = bound(equation, given)
        known.update(zip(equation.outvars, outputs, strict=True))
    return [value(variable) for variable in getattr(closed, "jaxpr", closed).outvars], found


def _scan(
    equation: Any, given: list[Any], added: dict[str, Any], told: Callable[[str], bool]
) -> tuple[list[Any], dict[str, Any]]:
    """A loop that hands out what its body names, one more axis before the others."""
    options, body = equation.params, equation.params["jaxpr"]
    fixed, carried = loop_parts(equation)
    names = _names(body)
    extra = {name: value for name, value in added.items() if name in names}

    def step(carry: list[Any], xs: Any) -> Any:
        slices, more = xs
        outputs, found = evaluate(body, [*given[:fixed], *carry, *slices], more, told)
        return outputs[:carried], (outputs[carried:], found)

    carry, (stacked, found) = lax.scan(
        step,
        given[fixed : fixed + carried],
        (given[fixed + carried :], extra),
        length=options["length"],
        reverse=options["reverse"],
        unroll=options["unroll"],
    )
    return [*carry, *stacked], found


def _names(jaxpr: Any) -> set[str]:
    """The names that are given inside a Jaxpr."""
    found: set[str] = set()
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        if equation.primitive.name == "name":
            found.add(equation.params["name"])
        for part in core.jaxprs_in_params(equation.params):
            found |= _names(part)
    return found


class Hidden(Exception):
    """A ReLU runs inside a loop, a branch or a rule of its own."""


Gate = Callable[[Any, Any], Any]


def pull_back(
    closed: Any, values: Sequence[Any], moving: Sequence[bool], gate: Gate
) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]], int]:
    """Runs a Jaxpr and hands gradients back through it, by a rule of its own at every ReLU.

    A ReLU is a maximum with 0, as `jax.nn.relu`, `nnx.relu` and `jnp.maximum(x, 0)` are.

    Args:
      closed: the Jaxpr.
      values: of its inputs.
      moving: which of them gradients are asked for.
      gate: from what goes into a ReLU and the gradient that arrives to where it is let through.
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
            outputs, pull, more = _step(equation, given, own, gate)
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
    equation: Any, given: list[Any], own: list[int], gate: Gate
) -> tuple[list[Any], Callable[[list[Any]], list[Any]], int]:
    """One equation: its outputs, its pullback by those operands that move, and its ReLUs."""
    kind = equation.primitive.name
    if _is_relu(equation) and len(own) == 1:
        entering = given[own[0]]

        def rectified(arrived: list[Any]) -> list[Any]:
            return [jax.numpy.where(gate(entering, arrived[0]), arrived[0], 0)]

        return bound(equation, given), rectified, 1
    if contains(equation, _is_relu):
        plain = kind == "custom_jvp_call" and not contains(equation, _is_more)
        if kind in CALLS or plain:
            moving = [place in own for place in range(len(given))]
            outputs, pull, met = pull_back(inner(equation), given, moving, gate)
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


def _is_relu(equation: Any) -> bool:
    """Whether an equation takes the larger of something and 0."""
    literals = [v for v in equation.invars if isinstance(v, core.Literal)]
    zero = len(literals) == 1 and not jax.numpy.ndim(literals[0].val) and literals[0].val == 0
    return equation.primitive.name == "max" and zero


def _is_more(equation: Any) -> bool:
    """Whether an equation computes what no ReLU and none with an upper end does."""
    return equation.primitive.name not in {"custom_jvp_call", "jit", "pjit", "max", "min"}


def _inexact(value: Any) -> bool:
    return jax.numpy.issubdtype(jax.numpy.result_type(value), jax.numpy.inexact)
