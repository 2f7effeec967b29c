"""The checks behind `check_gradients`, each a list of comparisons between two ways to one array."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.testing._comparison import Comparison, Tolerance, compare, default_rtol
from jaxcnn.testing._flat_function import Arrays, FlatFunction, draw, wide

# The error of a central difference is about step**2 from the third derivative and eps / step from
# rounding; the cube root of eps balances the two. A map that is linear in the argument has no third
# derivative, so that there a step of 1 costs nothing and loses no digit.
_LINEAR_STEP = 1.0

# Times step**2: 1e-7 in float64.
_DIFFERENCE_RTOL = 2700.0

# A wrong element is looked for one by one in arguments up to this size.
_SEARCH_LIMIT = 20_000


def against_gradient(
    flat: FlatFunction,
    along: Callable[[int, Arrays], Sequence[Any]],
    cotangent: Arrays,
    gradient: Arrays,
    rng: np.random.Generator,
    *,
    check: str,
    names: tuple[str, str],
    tolerances: list[Tolerance],
    directions: int,
    full_limit: int,
) -> list[Comparison]:
    """Compares <c, J t> with <gradient, t>, where `along(i, t)` is J t for a tangent of array i.

    An array of up to `full_limit` elements is perturbed element by element, a larger one along
    random tangents; if those differ, element by element after all, to find the wrong one.
    """
    made = []
    for i, label in enumerate(flat.labels):
        expected = wide(gradient[i])

        def product(tangent, i=i):
            return pair(cotangent, along(i, only(flat, i, tangent)))

        def by_element(i=i, expected=expected, label=label, product=product):
            actual = np.zeros_like(expected)
            for index, unit, tangent in _units(flat.values[i]):
                actual[index] += np.conj(unit) * product(tangent)
            return compare(actual, expected, check, names, f"the gradient for {label}",
                           tolerances[i])  # fmt: skip

        if expected.size <= full_limit:
            made.append(by_element())
            continue
        tangents = [draw(rng, flat.values[i]) for _ in range(directions)]
        actual = np.array([product(tangent) for tangent in tangents])
        wanted = np.array([pair([expected], [tangent]) for tangent in tangents])
        # The sum may cancel: it is judged by the size of a typical one, not by its own.
        typical = float(np.linalg.norm(expected[np.isfinite(expected)]))
        entry = compare(actual, wanted, check, names, f"<cotangent, J t>, t random for {label}",
                        tolerances[i], floor=typical)  # fmt: skip
        if not entry.passed and expected.size <= _SEARCH_LIMIT:
            found = by_element()
            entry = entry if found.passed else found
        made.append(entry)
    return made


class Quotients:
    """Central differences of a function, with a step and a tolerance for each array."""

    def __init__(self, flat: FlatFunction, linear: set[int], tolerance: Tolerance):
        """Chooses the steps.

        Args:
          flat: the function, in float64.
          linear: the arguments in which it is linear.
          tolerance: as the user set it.
        """
        self.flat = flat
        dtypes = [np.dtype(out.dtype) for out in flat.output_types()]
        step = float(np.cbrt(max(float(jnp.finfo(dtype).eps) for dtype in dtypes)))
        self.steps, self.tolerances = [], []
        for value, owner in zip(flat.values, flat.owners, strict=True):
            if owner in linear:
                self.steps.append(_LINEAR_STEP)
                self.tolerances.append(tolerance.resolved(default_rtol(*dtypes)))
            else:
                self.steps.append(step * max(1.0, largest(value)))
                self.tolerances.append(tolerance.resolved(_DIFFERENCE_RTOL * step**2))

    def along(self, function: Callable[[Arrays], Arrays], i: int, tangents: Arrays) -> Arrays:
        """(function(values + h t) - function(values - h t)) / 2h, with h the step of array i."""
        h = self.steps[i]
        pairs = [(wide(v), wide(t)) for v, t in zip(self.flat.values, tangents, strict=True)]
        plus, minus = (function(tuple(v + s * t for v, t in pairs)) for s in (h, -h))
        return tuple((wide(p) - wide(m)) / (2 * h) for p, m in zip(plus, minus, strict=True))


def against_differences(
    flat: FlatFunction,
    cotangent: Arrays,
    modes: tuple[str, ...],
    linear: set[int],
    rng: np.random.Generator,
    *,
    order: int,
    tolerance: Tolerance,
    directions: int,
    full_limit: int,
) -> list[Comparison]:
    """Compares first derivatives, and second where wanted, with central differences in float64."""
    with contextlib.ExitStack() as stack:
        if not flat.is_wide():
            # Constants that `fn` closes over keep their dtype, so that dtypes may now be mixed.
            stack.enter_context(jax.enable_x64(True))
            stack.enter_context(jax.numpy_dtype_promotion("standard"))
            flat = flat.widened()
        quotients = Quotients(flat, linear, tolerance)
        made: list[Comparison] = []
        if "fwd" in modes:
            made += _forward_differences(flat, quotients, rng)
        if "rev" in modes:
            types = flat.output_types()
            cotangent = tuple(
                jax.device_put(wide(c).astype(t.dtype))
                for c, t in zip(cotangent, types, strict=True)
            )

            def outputs(values):
                return flat.pullback(values, cotangent)[0]

            made += against_gradient(
                flat, lambda i, tangents: quotients.along(outputs, i, tangents),
                cotangent, flat.pullback(flat.values, cotangent)[1], rng,
                check="differences", names=("central differences", "reverse mode"),
                tolerances=quotients.tolerances, directions=directions, full_limit=full_limit,
            )  # fmt: skip
            if order == 2:
                made += _second_differences(flat, cotangent, quotients, rng)
    return made


def _forward_differences(
    flat: FlatFunction, quotients: Quotients, rng: np.random.Generator
) -> list[Comparison]:
    made = []
    for i, label in enumerate(flat.labels):
        tangents = only(flat, i, draw(rng, flat.values[i]))
        zeros = only(flat, i, np.zeros_like(flat.values[i]))
        _, forward = flat.pushforward(flat.values, tangents)
        expected = quotients.along(lambda v, z=zeros: flat.pushforward(v, z)[0], i, tangents)
        made += [
            compare(a, e, "differences", ("forward mode", "central differences"),
                    f"the tangent of output {k} for {label}", quotients.tolerances[i])
            for k, (a, e) in enumerate(zip(forward, expected, strict=True))
        ]  # fmt: skip
    return made


def _second_differences(
    flat: FlatFunction, cotangent: Arrays, quotients: Quotients, rng: np.random.Generator
) -> list[Comparison]:
    def gradient(values):
        return flat.pullback(values, cotangent)[1]

    made = []
    first = gradient(flat.values)
    for i, label in enumerate(flat.labels):
        tangents = only(flat, i, draw(rng, flat.values[i]))
        products, _ = flat.second_order(flat.values, cotangent, tangents)
        expected = quotients.along(gradient, i, tangents)
        made += [
            compare(a, e, "differences 2", ("forward over reverse", "central differences"),
                    f"the Hessian times t for {other}, t random for {label}",
                    quotients.tolerances[i], floor=largest(g))
            for a, e, g, other in zip(products, expected, first, flat.labels, strict=True)
        ]  # fmt: skip
    return made


def second_order(
    flat: FlatFunction,
    cotangent: Arrays,
    gradient: Arrays,
    rng: np.random.Generator,
    tolerance: Tolerance,
) -> list[Comparison]:
    """Compares the Hessian's product with a random tangent by two ways of autodiff."""
    tangents = tuple(draw(rng, value) for value in flat.values)
    forward, reverse = flat.second_order(flat.values, cotangent, tangents)
    return [
        compare(actual, expected, "second", ("forward over reverse", "reverse over reverse"),
                f"the Hessian times t for {label}", tolerance, floor=largest(first))
        for label, actual, expected, first in zip(
            flat.labels, forward, reverse, gradient, strict=True)
    ]  # fmt: skip


def pair(left, right) -> float:
    """The sum of all products, in float64; the real part of it for complex arrays."""
    return float(sum(np.sum(wide(a) * wide(b)).real for a, b in zip(left, right, strict=True)))


def only(flat: FlatFunction, i: int, tangent) -> Arrays:
    """Tangents that are 0 but for array i."""
    return tuple(tangent if j == i else np.zeros_like(v) for j, v in enumerate(flat.values))


def largest(array) -> float:
    """The largest finite absolute value."""
    values = np.abs(wide(array))
    return float(values[np.isfinite(values)].max(initial=0.0))


def _units(array) -> Iterator[tuple[tuple[int, ...], complex, np.ndarray]]:
    """One tangent per element; two of a complex array, along 1 and along i."""
    complex_valued = jnp.issubdtype(array.dtype, jnp.complexfloating)
    for index in np.ndindex(array.shape):
        for unit in (1, 1j) if complex_valued else (1,):
            tangent = np.zeros(array.shape, array.dtype)
            tangent[index] = unit
            yield index, unit, tangent
