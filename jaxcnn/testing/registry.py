"""What is compared: primitives, their hand-derived gradients, and the cases of each.

Ten lines add a function of one's own. In `my_module.py`, on the path or in the current folder:

>>> import numpy as np
>>> import jax.numpy as jnp
>>> from jaxcnn.testing import register
>>> def softplus(x, *, sharpness=1.0):
...     return jnp.logaddexp(0, sharpness * x) / sharpness
>>> def softplus_vjp(cotangent, x, *, sharpness=1.0):
...     return cotangent / (1 + np.exp(-sharpness * x))
>>> entry = register("softplus", softplus, softplus_vjp)
>>> entry = entry.case("plain", (3, 4)).case("sharp", (3, 4), sharpness=5.0)

and `python -m experiments.gradients --module my_module --filter softplus` prints its rows, or a
test takes them from `select("softplus")`.
"""

import dataclasses
import functools
import importlib
import math
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcnn.testing import cases

# Draws one argument: (generator, dtype of the row) -> array.
Draw = Callable[[np.random.Generator, np.dtype], np.ndarray]

# Options that say how something is computed, not what: the reference does not take them.
COMPUTING = ("algorithm", "precision", "preferred_element_type")


@dataclasses.dataclass(frozen=True)
class Case:
    """One line of the table, before it is multiplied by dtypes.

    Attributes:
      primitive: the function's name.
      name: of the case; unique within the primitive.
      fn: the function of arrays alone.
      vjp: its hand-derived gradient, `vjp(cotangent, *arrays)`, or None.
      draws: one per array.
      dtypes: in which it is run.
      checks: options of `check_gradients`, such as `linear`, `order`, `differences`.
    """

    primitive: str
    name: str
    fn: Callable[..., Any]
    vjp: Callable[..., Any] | None
    draws: tuple[Draw, ...]
    dtypes: tuple[str, ...]
    checks: Mapping[str, Any]

    def arrays(self, dtype: str | None = None, seed: int = 0) -> list[np.ndarray]:
        """Draws the arguments, in the first of `dtypes` unless told otherwise."""
        rng = np.random.default_rng(seed)
        return [draw(rng, jnp.dtype(dtype or self.dtypes[0])) for draw in self.draws]

    @property
    def options(self) -> dict[str, Any]:
        """All keyword arguments that `fn` gives.

        A `partial` of one whose `__dict__` was looked at, as `jax.jit` does, stays one in another.
        """
        fn, options = self.fn, {}
        while isinstance(fn, functools.partial):
            fn, options = fn.func, fn.keywords | options
        return options

    @property
    def reference_options(self) -> dict[str, Any]:
        """Those of `options` that its hand-derived gradient takes too."""
        return {name: value for name, value in self.options.items() if name not in COMPUTING}


@dataclasses.dataclass
class Primitive:
    """A registered function; `case` adds a line for it."""

    name: str
    fn: Callable[..., Any]
    vjp: Callable[..., Any] | None
    dtypes: tuple[str, ...]
    checks: Mapping[str, Any]
    cases: dict[str, Case] = dataclasses.field(default_factory=dict)

    def case(
        self,
        name: str,
        /,
        *arrays: Sequence[int] | Draw,
        dtypes: Sequence[str] | None = None,
        checks: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> "Primitive":
        """Adds a case.

        Args:
          name: what is special about it, in a few words.
          *arrays: for each array argument its shape, filled with standard normal numbers, or one of
            `distinct`, `uniform`, `tied`, `fixed`, or a function (generator, dtype) -> array.
          dtypes: instead of the primitive's.
          checks: options of `check_gradients` that differ from the primitive's.
          **options: keyword arguments of the function and of its hand-derived gradient; the latter
            does not get `algorithm`, `precision` and `preferred_element_type`.
        Returns:
          The primitive, so that calls can be chained.
        Raises:
          ValueError: the primitive has a case of that name.
        """
        if name in self.cases:
            raise ValueError(f"register: {self.name} has a case {name!r} already; rename one")
        case = Case(
            primitive=self.name,
            name=name,
            fn=functools.partial(self.fn, **options),
            vjp=self.vjp,
            draws=tuple(array if callable(array) else normal(*array) for array in arrays),
            dtypes=tuple(dtypes or self.dtypes),
            checks={**self.checks, **(checks or {})},
        )
        if self.vjp is not None:
            by_hand = functools.partial(self.vjp, **case.reference_options)
            case = dataclasses.replace(case, vjp=by_hand)
        self.cases[name] = case
        return self


_PRIMITIVES: dict[str, Primitive] = {}


def primitives() -> dict[str, Primitive]:
    """The table of primitives, filled at the first call.

    Returns:
      Name -> primitive: those of the library, and those that `register` added.

    Example:
      >>> list(primitives()["blur_pool"].cases)
      ['2-D', '1-D, replicate', 'explicit padding']
    """
    for module in pkgutil.iter_modules(cases.__path__):
        importlib.import_module(f"{cases.__name__}.{module.name}")
    return _PRIMITIVES


def register(
    name: str,
    fn: Callable[..., Any],
    vjp: Callable[..., Any] | None = None,
    *,
    dtypes: Sequence[str] = ("float64", "float32", "bfloat16"),
    **checks: Any,
) -> Primitive:
    """Registers a function and its hand-derived gradient; `.case(...)` on the result adds rows.

    Args:
      name: of the rows; unique.
      fn: `fn(*arrays, **options)`.
      vjp: `vjp(cotangent, *arrays, **options)`, which returns one gradient per array. It gets NumPy
        arrays in float64.
      dtypes: in which each case is run. Differences, second derivatives and transformations are
        compared in float64 (and complex128) rows alone.
      **checks: options of `jaxcnn.testing.check_gradients`; `order` is 2 unless given.
    Returns:
      The primitive.
    Raises:
      ValueError: the name is taken.
    """
    if name in _PRIMITIVES:
        raise ValueError(f"register: {name!r} is registered already; choose another name")
    _PRIMITIVES[name] = Primitive(name, fn, vjp, tuple(dtypes), {"order": 2, **checks})
    return _PRIMITIVES[name]


def normal(*shape: int) -> Draw:
    """Standard normal numbers of `shape`, in both parts of a complex dtype.

    Returns:
      What draws them, for `Primitive.case`.
    """

    def draw(rng: np.random.Generator, dtype: np.dtype) -> np.ndarray:
        values = rng.standard_normal(shape)
        if dtype.kind == "c":
            values = values + 1j * rng.standard_normal(shape)
        return values.astype(dtype)

    return draw


def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Draw:
    """Numbers of `shape` between `low` and `high`.

    Returns:
      What draws them, for `Primitive.case`.
    """
    return lambda rng, dtype: rng.uniform(low, high, shape).astype(dtype)


def distinct(*shape: int) -> Draw:
    """Numbers of `shape` from -1 to 1, no two of them close, nor their magnitudes.

    So no maximum has a rival nearby, at which there would be no differences.

    Returns:
      What draws them, for `Primitive.case`.
    """

    size = math.prod(shape)
    values = (np.arange(size) + 0.25) * 2 / size - 1

    def draw(rng: np.random.Generator, dtype: np.dtype) -> np.ndarray:
        return rng.permutation(values).reshape(shape).astype(dtype)

    return draw


def tied(*shape: int) -> Draw:
    """Whole numbers of `shape` from -2 to 2: windows have ties, at which there are no differences.

    Returns:
      What draws them, for `Primitive.case`.
    """
    return lambda rng, dtype: rng.integers(-2, 3, shape).astype(dtype)


def fixed(values: Any) -> Draw:
    """The same `values` in each row. Whole numbers keep their dtype, others take the row's.

    Returns:
      What draws them, for `Primitive.case`.
    """
    array = np.asarray(values)
    return lambda rng, dtype: array if array.dtype.kind in "iub" else array.astype(dtype)
