"""Maps that are linear in each of two operands, with their transposes stated.

JAX transposes an operation to what is right, and not always to what a compiler has a fast form for.
A map of this kind says what its transposes are, in ordinary `lax`:

    value(x, k)          the map
    to_first(k, dy, t)   the dx with <dy, value(v, k)> = <dx, v> for all v of type t
    to_second(x, dy, t)  the dk with <dy, value(x, v)> = <dk, v>

The rest follows: the tangent is value(dx, k) + value(x, dk), whose terms are such maps again, the
n-th term of a series is the sum of value(x_i, k_j) over i + j = n, derivatives of the transposes
are JAX's own.
"""

import abc
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array

from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.derived import product_series
from jaxcnn.lowering.per_platform import PerPlatform


class Bilinear(PerPlatform):
    """A frozen dataclass that has the three maps: the same ones on every platform."""

    multiplies = True

    @abc.abstractmethod
    def value(self, first: Array, second: Array) -> Array:
        """The map."""

    @abc.abstractmethod
    def to_first(self, second: Array, cotangent: Array, like: Any) -> Array:
        """Its transpose in the first operand, which is like `like`."""

    @abc.abstractmethod
    def to_second(self, first: Array, cotangent: Array, like: Any) -> Array:
        """Its transpose in the second operand, which is like `like`."""

    def on(self, platform: str) -> Callable[..., list[Array]]:
        @jax.custom_jvp
        def compute(first: Array, second: Array) -> Array:
            return self.value(first, second)

        def tangent(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
            (first, second), (d_first, d_second) = primals, tangents
            outputs, terms = compute(first, second), []
            if not isinstance(d_first, SymbolicZero):
                terms += by_platform(self, d_first, second)
            if not isinstance(d_second, SymbolicZero):
                terms += by_platform(self, first, d_second)
            return outputs, sum(terms[1:], start=terms[0]) if terms else jnp.zeros_like(outputs)

        compute.defjvp(tangent, symbolic_zeros=True)
        return lambda first, second: [compute(first, second)]

    def outputs(self, operands: Sequence[Any]) -> list[jax.ShapeDtypeStruct]:
        shapes = (jax.ShapeDtypeStruct(array.shape, array.dtype) for array in operands)
        return [jax.eval_shape(self.value, *shapes)]

    def transposed(
        self, platform: str, linear: tuple[int, ...], types: Sequence[Any]
    ) -> Callable[..., list[Array]] | None:
        if linear == (0,):
            return lambda second, cotangent: [self.to_first(second, cotangent, types[0])]
        if linear == (1,):
            return lambda first, cotangent: [self.to_second(first, cotangent, types[0])]
        return None

    def series(self, platform: str, operands: Sequence[Sequence[Array]]) -> list[list[Array]]:
        return [product_series(self.value, *operands)]
