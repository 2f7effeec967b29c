"""A call as data: what can be printed as a line of Python, changed in one place, and made again."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np

FINITE = ("normal", "ties", "large", "subnormal")
RARE = 0.2  # share of the special numbers among the others


@dataclasses.dataclass(frozen=True)
class Values:
    """An array that is not drawn yet.

    Attributes:
      shape: of the array.
      dtype: of the array.
      kind: "normal" (standard normal numbers, in both parts of complex ones), "ties" (whole numbers
        from -2 to 2), "large" (normal ones times 2^10), "subnormal" (a fifth of them, of either
        sign), "nan", "infinite", "minus infinity" (a fifth of them so, the others normal),
        "uniform" (in [0, 1)), "mask" (zeros and ones), "below N" (whole numbers from 0 to N - 1),
        or "twos" (too large for samples, and 2^31 for indices).
      seed: of its generator.
    """

    shape: tuple[int, ...]
    dtype: str = "float64"
    kind: str = "normal"
    seed: int = 0

    def array(self) -> np.ndarray:
        """Draws it."""
        rng, dtype = np.random.default_rng(self.seed), np.dtype(getattr(jnp, self.dtype))
        if self.kind.startswith("below "):
            return rng.integers(0, int(self.kind.split()[1]), self.shape).astype(dtype)
        if self.kind == "twos":  # outside any range
            return np.full(self.shape, 2 if dtype.kind == "f" else 2**31, dtype)
        if self.kind == "mask" or dtype.kind == "b":
            return (rng.random(self.shape) < 0.7).astype(dtype)
        if self.kind == "uniform":
            return rng.random(self.shape).astype(dtype)
        if self.kind == "ties" or dtype.kind in "iu":
            low = 0 if dtype.kind == "u" else -2
            return rng.integers(low, 3, self.shape).astype(dtype)
        values = rng.standard_normal(self.shape)
        if dtype.kind == "c":
            values = values + 1j * rng.standard_normal(self.shape)
        values = values.astype(dtype)
        if self.kind == "large":
            return (values * dtype.type(1024)).astype(dtype)
        return np.where(rng.random(self.shape) < RARE, _special(self.kind, dtype, values), values)


@dataclasses.dataclass(frozen=True)
class Traced:
    """An option whose value is traced, and so is known too late."""

    value: Any


def _special(kind: str, dtype: np.dtype, values: np.ndarray) -> np.ndarray:
    """What stands in place of `values` where a rare number is."""
    if kind == "subnormal":
        smallest = ml_dtypes.finfo(dtype).smallest_subnormal
        return (np.sign(values.real) * np.ceil(4 * np.abs(values.real))).astype(dtype) * smallest
    number = {"nan": np.nan, "infinite": np.inf, "minus infinity": -np.inf}.get(kind)
    if number is None:
        return values
    signs = np.sign(values.real) if kind == "infinite" else 1
    return np.asarray(signs * number * np.ones(values.shape)).astype(dtype)


@dataclasses.dataclass(frozen=True)
class Reducer:
    """An associative function of two numbers in JAX and in NumPy, its gradient, its neutral."""

    in_jax: Callable
    in_numpy: Callable
    vjp: Callable
    init: float


REDUCERS = {
    "add": Reducer(jnp.add, np.add, lambda h, a, b: (h, h), 0.0),
    "multiply": Reducer(jnp.multiply, np.multiply, lambda h, a, b: (h * b, h * a), 1.0),
    "logaddexp": Reducer(
        jnp.logaddexp,
        np.logaddexp,
        lambda h, a, b: (h * np.exp(a - np.logaddexp(a, b)), h * np.exp(b - np.logaddexp(a, b))),
        -math.inf,
    ),
    "compose": Reducer(
        lambda a, b: a + b + a * b,
        lambda a, b: a + b + a * b,
        lambda h, a, b: (h * (1 + b), h * (1 + a)),
        0.0,
    ),
}


@dataclasses.dataclass(frozen=True)
class Call:
    """A function of `jaxcnn.functional` and all arguments by name.

    Attributes:
      primitive: the function.
      arguments: `Values` for arrays; `reduce_fn` is a key of `REDUCERS`.
      out: the spatial sizes of the output by `rules`, None for those without.
      pads: (low, high) pixels of padding by `rules`, which the reference takes for `padding`.
    """

    primitive: str
    arguments: Mapping[str, Any]
    out: tuple[int, ...] | None = None
    pads: tuple[tuple[int, int], ...] | None = None

    def line(self) -> str:
        """A line of Python that makes the same call again and checks it."""
        more = "".join(
            f", {name}={value!r}"
            for name, value in (("out", self.out), ("pads", self.pads))
            if value is not None
        )
        return f"replay({self.primitive!r}, {_dict(self.arguments)}{more})"

    def changed(self, **arguments: Any) -> "Call":
        """The call with other arguments in place of its own."""
        return dataclasses.replace(self, arguments={**self.arguments, **arguments})

    @property
    def arrays(self) -> dict[str, Values]:
        """The arguments that are arrays."""
        return {k: v for k, v in self.arguments.items() if isinstance(v, Values)}

    @property
    def options(self) -> dict[str, Any]:
        """The arguments that are none."""
        return {k: v for k, v in self.arguments.items() if not isinstance(v, Values)}

    @property
    def dtypes(self) -> list[str]:
        """Of the arrays."""
        return [values.dtype for values in self.arrays.values()]

    def program(self) -> tuple:
        """What the compiled program depends on: all but the numbers in the arrays."""
        shapes = {k: (v.shape, v.dtype) for k, v in self.arrays.items()}
        return self.primitive, repr(sorted(shapes.items())), repr(sorted(self.options.items()))


def _dict(arguments: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name!r}: {value!r}" for name, value in arguments.items()) + "}"
