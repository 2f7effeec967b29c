"""The cases of the gradient tables in poisoned memory, each by every algorithm that takes it."""

import functools
import zlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import functional, reference
from jaxcnn.lowering import choose
from jaxcnn.testing import Case, primitives
from jaxcnn.testing.algorithms import by_algorithm
from tests.fuzz.calls import Values
from tests.fuzz.checking import as_tuple, compare, value_and_vjp
from tests.fuzz.poison.repeated import Repeated

FAMILIES = (choose.CONV_ALGORITHMS, choose.MAX_POOL_ALGORITHMS)


def cases(part: str, name: str = "") -> Iterator[Case]:
    """The rows of some primitives, those first that are likeliest to leave their arrays.

    Args:
      part: "all", "one" of each primitive and algorithm, or "none".
      name: any part of the primitive's.
    """
    for entry in primitives().values():
        seen = set()
        if part == "none" or name not in entry.name:
            continue
        for case in sorted(entry.cases.values(), key=risk, reverse=True):
            if part == "one" and any(seen >= {"auto", *family} for family in FAMILIES):
                break  # tracing them all is a fifth of the time
            for way in (case, *by_algorithm(case, drawn(case))):
                algorithm = way.options.get("algorithm", "auto")
                if part == "all" or algorithm not in seen:
                    seen.add(algorithm)
                    yield way


def risk(case: Case) -> tuple[bool, bool, int]:
    """Whether it crops, whether its padding is unequal, how many options it has."""
    padding = case.options.get("padding", 0)
    entries = padding if isinstance(padding, tuple) else ()
    pairs = [pair for pair in entries if isinstance(pair, tuple)]
    return any(min(pair) < 0 for pair in pairs), any(map(_unequal, pairs)), len(case.options)


def _unequal(pair: tuple[int, int]) -> bool:
    return pair[0] != pair[1]


def drawn(case: Case) -> list[np.ndarray]:
    """Its arrays, in 32 bits."""
    dtype = "complex64" if case.dtypes[0] == "complex128" else "float32"
    return case.arrays(dtype, seed=zlib.crc32(f"{case.primitive}: {case.name}".encode()))


def agree(case: Case, *, calls: int, second_order: bool) -> None:
    """Holds a row against the derivation by hand, and the bits of its calls against one another.

    Raises:
      Disagreement: a value, a gradient or a bit differs.
    """
    arrays = {f"array {place}": array for place, array in enumerate(drawn(case))}

    def fn(**named):
        return case.fn(*(named[name] for name in arrays))

    shape = jax.tree.leaves(jax.eval_shape(lambda named: fn(**named), arrays))[0]
    cotangent = Values(shape.shape, str(shape.dtype), "normal", 7).array()
    moving = {name: a for name, a in arrays.items() if jnp.issubdtype(a.dtype, jnp.inexact)}
    rest = {name: a for name, a in arrays.items() if name not in moving}
    program = Repeated(
        functools.partial(value_and_vjp, fn),
        calls=calls,
        second_order=second_order and case.checks.get("order", 2) == 2,
    )
    outputs, gradients = program(moving, rest, cotangent)
    wide = [a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)
            if name in moving else a for name, a in arrays.items()]  # fmt: skip
    dtypes = [str(a.dtype) for a in arrays.values()]
    by_name = getattr(functional, case.primitive, None)
    if case.fn.func is by_name and hasattr(reference, case.primitive):
        forward = getattr(reference, case.primitive)
        expected = as_tuple(forward(*wide, **case.reference_options))
        for number, (got, want) in enumerate(zip(as_tuple(outputs), expected, strict=True)):
            compare(f"output {number}", got, want, dtypes)
    by_hand = as_tuple(case.vjp(cotangent.astype(wide[0].dtype), *wide))
    for (name, _), want in zip(arrays.items(), by_hand, strict=False):
        if name in gradients and want is not None:
            compare(f"gradient of {name}", gradients[name], want, dtypes)
