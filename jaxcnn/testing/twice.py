"""A row as one program that is run twice: against the reference, and against itself bit by bit.

Cheaper than `compare_row` by far, which makes many programs of a row: for an accelerator that is
there for minutes, or for another device than the one that the whole suite ran on.
"""

import functools
import sys
import time
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxcnn.testing._comparison import Comparison, Tolerance, compare, default_rtol
from jaxcnn.testing._flat_function import Arrays, FlatFunction, draw, is_inexact, wide
from jaxcnn.testing.registry import Case
from jaxcnn.testing.rows import Outcome

# Factors rounded to 11 bits, as by TF32: a sum of their products is off by some of that rounding,
# 5e-4, for each of the two; several sums follow one another in a separable convolution.
TF32_RTOL = 5e-3

PRECISIONS = {"highest": None, "default": TF32_RTOL}
"""Of products of float32, each with its tolerance; None for that of `check_gradients`."""


def compare_twice(
    case: Case, dtype: str, precisions: Mapping[str, float | None] = PRECISIONS
) -> dict[str, Outcome]:
    """Holds the values and the gradients of a row against the reference, and never raises.

    Where the reference has no such function, the values are held against the same function in
    float64 on a CPU.

    Args:
      case: from `select` or `Primitive.cases`.
      dtype: of the arrays.
      precisions: as `jax.default_matmul_precision` takes them, each with its relative tolerance.
    Returns:
      By precision the errors ("value", "rev", and "bits", the number of arrays that were other the
      second time) and what differs. A precision is left out where it makes the program of one
      before it.
    """
    outcomes: dict[str, Outcome] = {}
    texts: list[str] = []
    for precision, rtol in precisions.items():
        start = time.perf_counter()
        errors: dict[str, float] = {}
        messages: list[str] = []
        try:
            with jax.enable_x64(True), jax.default_matmul_precision(precision):
                problem = _Problem(case, dtype)
                lowered = problem.lowered()
                if (text := lowered.as_text()) in texts:
                    continue
                texts.append(text)
                compiled = lowered.compile()
                first, second = problem.run(compiled), problem.run(compiled)
                made = problem.comparisons(first, rtol)
                for entry in made:
                    errors[entry.check] = max(entry.relative, errors.get(entry.check, 0.0))
                messages += [str(entry) for entry in made if not entry.passed]
                other = problem.other_bits(first, second)
                errors["bits"] = float(len(other))
                if other:
                    messages.append(f"other bits the second time in {', '.join(other)}")
        except Exception as error:  # one broken row must not hide the others
            messages.append(f"{case.primitive}: {type(error).__name__}: {error}")
        seconds, message = time.perf_counter() - start, "\n".join(messages)
        outcomes[precision] = Outcome(
            case.primitive, case.name, dtype, seconds, errors, not messages, message
        )
    return outcomes


class _Problem:
    """A row with its arguments and cotangent, the same in every run."""

    def __init__(self, case: Case, dtype: str):
        seed = zlib.crc32(f"{case.primitive}: {case.name}".encode())
        self.case = case
        self.arrays = case.arrays(dtype, seed)
        argnums = case.checks.get("argnums")
        self.flat = FlatFunction.of(case.fn, self.arrays, argnums, case.primitive, "compare_twice")
        rng = np.random.default_rng(seed)
        self.cotangent = tuple(draw(rng, out) for out in self.flat.output_types())

    def lowered(self) -> jax.stages.Lowered:
        """The program: all outputs, and the gradients."""
        program = functools.partial(_outputs_and_gradients, self.flat)
        return jax.jit(program).lower(self.flat.values, self.cotangent)

    def run(self, compiled: jax.stages.Compiled) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """What it gives."""
        outputs, gradients = compiled(self.flat.values, self.cotangent)
        return [np.asarray(a) for a in outputs], [np.asarray(a) for a in gradients]

    def comparisons(self, found: Any, rtol: float | None) -> list[Comparison]:
        """Each output and gradient beside the reference's."""
        outputs, gradients = found
        checks = self.case.checks
        given = max(filter(None, (rtol, checks.get("rtol"))), default=None)
        tolerance = Tolerance(given, checks.get("atol")).resolved(default_rtol(*self.flat.dtypes()))
        made = []
        for number, (actual, wanted) in enumerate(zip(outputs, self._values(), strict=True)):
            allowed = tolerance if is_inexact(actual) else Tolerance(0.0, 0.0)
            ways, of = ("the device", "the reference"), f"output {number}"
            made.append(compare(actual, wanted, "value", ways, of, allowed))
        if self.case.vjp is None:
            return made
        by_hand = self.flat.hand_derived(self.case.vjp, self.cotangent)
        for label, actual, wanted in zip(self.flat.labels, gradients, by_hand, strict=True):
            ways, of = ("the device", "the hand-derived VJP"), f"the gradient for {label}"
            made.append(compare(actual, wanted, "rev", ways, of, tolerance))
        return made

    def other_bits(self, first: Any, second: Any) -> list[str]:
        """In words, the arrays that differ."""
        names = [f"output {number}" for number in range(len(first[0]))]
        names += [f"the gradient for {label}" for label in self.flat.labels]
        pairs = zip(names, [*first[0], *first[1]], [*second[0], *second[1]], strict=True)
        return [name for name, one, two in pairs if one.tobytes() != two.tobytes()]

    def _values(self) -> list[np.ndarray]:
        """All outputs by the reference."""
        arrays = [np.asarray(leaf) for leaf in self.arrays]
        arrays = [wide(array) if is_inexact(array) else array for array in arrays]
        forward = _forward(self.case)
        if forward is not None:
            outputs = forward(*arrays, **self.case.reference_options)
        else:
            with jax.default_device(jax.local_devices(backend="cpu")[0]):
                outputs = self.case.fn(*arrays)
        return [np.asarray(leaf) for leaf in jax.tree.leaves(outputs)]


def _outputs_and_gradients(flat: FlatFunction, values: Arrays, cotangent: Arrays) -> tuple:
    def fn(*values):
        outputs = flat.outputs(*values)
        return tuple(out for out in outputs if is_inexact(out)), outputs

    _, pullback, outputs = jax.vjp(fn, *values, has_aux=True)
    return outputs, pullback(cotangent)


def _forward(case: Case) -> Any:
    """The reference's function, beside its hand-derived gradient; None where it has none."""
    by_hand: Any = case.vjp.func if isinstance(case.vjp, functools.partial) else case.vjp
    module = getattr(by_hand, "__module__", "")
    if not module.startswith("jaxcnn.reference"):
        return None
    return getattr(sys.modules[module], by_hand.__name__.removesuffix("_vjp"))
