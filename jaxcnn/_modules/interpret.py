"""Runs a Jaxpr once more and looks inside it: what layers give, what happens if that is changed.

The names that a recording gives to the outputs of layers are in the Jaxpr, also inside `jax.jit`,
`nnx.remat` and loops of a known length, where no Python function can hand anything out.
"""

from collections.abc import Callable, Sequence
from typing import Any

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
