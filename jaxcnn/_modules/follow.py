"""Reads in a Jaxpr which pixels of an image each element of each array sees.

Jaxprs say what really runs, whoever wrote it: layers of this library, of Flax, or `lax` itself.
"""

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.core
import numpy as np
from flax.errors import TraceContextError
from jax.extend import core

from jaxcnn._modules.interpret import loop_parts
from jaxcnn._modules.seen import Atom, Seen, plain
from jaxcnn._modules.seen_moves import everything, matrices, only, united, unstack
from jaxcnn._modules.seen_rules import RULES
from jaxcnn.geometry.sight import Sight
from jaxcnn.lowering.by_platform import form
from jaxcnn.lowering.fill import Padded

# Primitives that do what their first Jaxpr says.
_CALLS = {
    *("jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"),
    *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr", "custom_lin"),
}
# Primitives that take matrices, or batches of them, as the last two axes.
_MATRICES = {
    *("cholesky", "eigh", "geqrf", "householder_product", "lu", "qr", "svd", "triangular_solve"),
}
_MOST = 1 << 22  # elements of an array whose numbers are looked at


class Unknown(Exception):
    """A function does something with the image that nobody here knows; its argument says."""


Note = Callable[[Any, Seen], None]
# The numbers in a variable, if they depend on nothing but the Jaxpr itself.
Known = Callable[[], np.ndarray | None]


def of_image(shape: Sequence[int], axes: Sequence[int]) -> Seen:
    """An array whose elements see themselves along some axes."""
    numbers = {axis: number for number, axis in enumerate(axes)}
    return Seen(
        tuple(
            (Atom(numbers[axis], size),) if axis in numbers else plain(size)
            for axis, size in enumerate(shape)
        ),
        tuple(Sight.of_image(shape[axis]) for axis in axes),
    )


def follow(
    closed: Any, given: Sequence[Seen | None], note: Note | None = None
) -> list[Seen | None]:
    """What the outputs of a Jaxpr see; None for those that do not depend on the image.

    Args:
      closed: the Jaxpr.
      given: what its inputs see.
      note: is told each equation that gives a name, and what is seen there.
    Raises:
      Unknown: by a primitive that nobody here knows.
    """
    return _Follow(note).through(closed, given, [_nothing] * len(given))


def _nothing() -> None:
    return None


class _Follow:
    def __init__(self, note: Note | None):
        self.note = note

    def through(
        self, closed: Any, given: Sequence[Seen | None], known: Sequence[Known]
    ) -> list[Seen | None]:
        """What the outputs of a Jaxpr see."""
        jaxpr = getattr(closed, "jaxpr", closed)
        sees: dict[Any, Seen | None] = dict(zip(jaxpr.invars, given, strict=True))
        numbers: dict[Any, Known] = dict(zip(jaxpr.invars, known, strict=True))
        for variable, value in zip(jaxpr.constvars, getattr(closed, "consts", ()), strict=False):
            numbers[variable] = lambda value=value: _small(value)

        def seen(variable: Any) -> Seen | None:
            return None if hasattr(variable, "val") else sees.get(variable)

        def number(variable: Any) -> Known:
            if hasattr(variable, "val"):
                return lambda: np.asarray(variable.val)
            return numbers.get(variable, _nothing)

        for equation in jaxpr.eqns:
            entering = [seen(variable) for variable in equation.invars]
            values = [number(variable) for variable in equation.invars]
            if any(entering):
                leaving = self._after(equation, entering, values)
                sees.update(zip(equation.outvars, leaving, strict=True))
            else:
                for place, variable in enumerate(equation.outvars):
                    numbers[variable] = _once(equation, values, place)
        return [seen(variable) for variable in jaxpr.outvars]

    def _after(
        self, equation: Any, given: list[Seen | None], known: list[Known]
    ) -> list[Seen | None]:
        """What the outputs of one equation see."""
        kind, options = equation.primitive.name, equation.params
        if kind in RULES:
            told = RULES[kind](equation, given, lambda place: known[place]())
            if kind == "name" and self.note:
                self.note(equation, told)
            return [told for _ in equation.outvars]
        if kind == "split":
            return self._split(equation, given)
        if kind == "unstack":
            return [*unstack(only(given), equation.params["axis"])]
        if kind in _MATRICES:
            return [matrices(given, variable.aval.shape) for variable in equation.outvars]
        if kind == "top_k":
            return [seen and seen.mixed([len(seen.axes) - 1]) for seen in given] * 2
        if kind in ("optimization_barrier", "shard_map_barrier"):
            return given
        if kind == "by_platform":
            return self._by_platform(equation, given, known)
        parts = list(core.jaxprs_in_params(options))
        if kind in _CALLS:
            return self.through(parts[0], given, known)
        if kind == "cond":
            return self._branches(equation, parts, given, known)
        if kind == "scan":
            return self._scan(equation, parts[0], given)
        if kind == "while":
            return self._while(equation, given)
        raise Unknown(f"`{kind}`")

    def _split(self, equation: Any, given: list[Seen | None]) -> list[Seen | None]:
        (seen,), axis = given, equation.params["axis"]
        start, result = 0, []
        for size in equation.params["sizes"]:
            result.append(seen and seen.windows(axis, [start], 1, size))
            start += size
        return result

    def _by_platform(
        self, equation: Any, given: list[Seen | None], known: list[Known]
    ) -> list[Seen | None]:
        """Of a computation of this library: what its form on a TPU does, the plainest."""
        computation, seen = equation.params["computation"], given[0]
        if isinstance(computation, Padded) and seen:
            return [_filled(seen, computation)]
        return self.through(form(equation, "tpu"), given, known)

    def _branches(
        self, equation: Any, parts: list[Any], given: list[Seen | None], known: list[Known]
    ) -> list[Seen | None]:
        chosen, *rest = given
        branches = [self.through(part, rest, known[1:]) for part in parts]
        outputs = zip(*branches, equation.outvars, strict=True)
        return [
            _any([*seen, chosen and everything([chosen], v.aval.shape)], v.aval.shape)
            for *seen, v in outputs
        ]

    def _scan(self, equation: Any, body: Any, given: list[Seen | None]) -> list[Seen | None]:
        """The carried arrays step by step; along the axis that is looped over everything."""
        fixed, carried = loop_parts(equation)
        consts, carry = given[:fixed], given[fixed : fixed + carried]
        slices = [seen and seen.without([0]) for seen in given[fixed + carried :]]
        shapes = [variable.aval.shape for variable in equation.outvars]
        stacked: list[Seen | None] = [None] * (len(shapes) - carried)
        for _ in range(equation.params["length"]):
            inputs = [*consts, *carry, *slices]
            outputs = self.through(body, inputs, [_nothing] * len(inputs))
            before, carry = carry, outputs[:carried]
            stacked = [
                _any([old, new], shape[1:])
                for old, new, shape in zip(
                    stacked, outputs[carried:], shapes[carried:], strict=True
                )
            ]
            if carry == before:
                break
        grown = [
            seen and seen.with_axes((plain(shape[0]), *seen.axes))
            for seen, shape in zip(stacked, shapes[carried:], strict=True)
        ]
        return [*carry, *grown]

    def _while(self, equation: Any, given: list[Seen | None]) -> list[Seen | None]:
        """As after one step if a step changes nothing, else everything."""
        options = equation.params
        skipped, fixed = options["cond_nconsts"], options["body_nconsts"]
        carry, consts = given[skipped + fixed :], given[skipped : skipped + fixed]
        inputs = [*consts, *carry]
        after = self.through(options["body_jaxpr"], inputs, [_nothing] * len(inputs))
        if after == carry and not any(given[:skipped]):
            return after
        return [everything(given, variable.aval.shape) for variable in equation.outvars]


# Tried one after the other: a function may have parameters for so many channels, and no more.
_CHANNELS = (4, 3, 1, 2, 6, 10, *(2**power for power in range(3, 13)), 96, 192, 384, 768)


def pointwise(function: Callable[..., Any], shape: Sequence[int]) -> bool:
    """Whether every output sees its own place alone, for arrays `(*shape, channels)`."""
    places = range(len(shape))
    for channels in _CHANNELS:
        try:
            image = jax.ShapeDtypeStruct((*shape, channels), "float32")
            jaxpr = jax.make_jaxpr(function)(image)
            break
        except Exception as error:  # the function's own, of whatever kind
            if isinstance(error.__cause__, TraceContextError):
                raise
    else:
        return False
    start = of_image(image.shape, places)
    try:
        (seen, *others) = follow(jaxpr, [start])
    except Unknown:
        return False
    if seen is None or others or len(seen.axes) != len(start.axes):
        return False
    for axis in places:
        seen = seen.folded(axis)
    return all(seen.axes[axis] == start.axes[axis] for axis in places) and seen.sees == start.sees


def _any(given: Sequence[Seen | None], shape: Sequence[int]) -> Seen | None:
    return united(given, shape) if any(given) else None


def _filled(seen: Seen, padding: Padded) -> Seen:
    """Padding that copies pixels: by its place outside the image, but it sees what it copies."""
    for axis, (low, high) in enumerate(padding.pairs, 1):
        folded = seen.folded(axis)
        number, size = folded.whole(axis), folded.shape()[axis]
        seen = folded.windows(axis, [-low], 1, size + low + high)
        if number is not None:
            shown = padding.shown(axis - 1, size)
            real = tuple(folded.sees[number].real[unit] for unit in shown)
            sight = seen.sees[number]
            seen = seen.with_sight(number, Sight(sight.phases, sight.step, real))
    return seen


def _small(value: Any) -> np.ndarray | None:
    """The numbers of an array that is at hand and not too large."""
    if isinstance(value, jax.core.Tracer) or math.prod(np.shape(value)) > _MOST:
        return None
    with contextlib.suppress(TypeError, ValueError):
        return np.asarray(value)
    return None


def _once(equation: Any, values: Sequence[Known], place: int) -> Known:
    """The numbers of an output, computed when they are asked for and all operands are known."""

    def compute() -> np.ndarray | None:
        if math.prod(equation.outvars[place].aval.shape) > _MOST:
            return None
        operands = []
        for value in values:
            found = value()
            if found is None:
                return None
            operands.append(found)
        with jax.ensure_compile_time_eval():
            options = equation.primitive.get_bind_params(equation.params)
            made = equation.primitive.bind(*map(jax.numpy.asarray, operands), **options)
        return np.asarray(made[place] if equation.primitive.multiple_results else made)

    return compute
