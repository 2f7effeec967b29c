"""Max and min pools with the tangent of the element that wins, by one algorithm or another.

Each algorithm has the same parts:

    extremes(inputs, windows, largest)                             the values alone
    kept(windows, images, channels)                                types of what it keeps
    found(inputs, plane, real, windows, largest)                   values, indices, what is kept
    moved(tangent, inputs, real, windows, largest, what is kept)   the values' tangent

`indices` are what `plane` holds where the values lie, None if it is None. `moved` is linear in the
tangent, and reverse mode transposes it. `real` says which rows are pixels, where some only stand
for padding; None for all.

By "auto" the parts are computations that differ by platform. What is kept has one type on all of
them while a program is traced: the arrays of all side by side, those alike shared (`_places`). A
platform fills in its own, and leaves zeros in the others, of which nothing is left in a program
that both parts are in. The inputs go along for those that look at them again.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Integer, Shaped

from jaxcnn.geometry import Windows
from jaxcnn.lowering import choices, pool_at_once, pool_native, pool_shift, pool_tree, pool_window
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.per_platform import OTHER, PLATFORMS, PerPlatform
from jaxcnn.lowering.problem import one_a_window

MAX_POOL_ALGORITHMS: dict[str, ModuleType] = {
    "shift": pool_shift,
    "tree": pool_tree,
    "window": pool_window,
    "at_once": pool_at_once,
    "native": pool_native,
}

Types = list[jax.ShapeDtypeStruct]


@dataclasses.dataclass(frozen=True)
class Pool:
    """What is pooled, and how.

    Attributes:
      windows: where they lie.
      largest: whether the largest elements, or the smallest.
      algorithm: a name, or "auto".
    """

    windows: Windows
    largest: bool
    algorithm: str

    def algorithm_on(self, platform: str, inputs: Any) -> ModuleType:
        """What makes it on a platform, of inputs of such a type."""
        name = self.algorithm
        if name == "auto":
            name = choices.max_pool_choice(platform, self.windows, inputs).algorithm
        return MAX_POOL_ALGORITHMS[name]

    def kept(self, inputs: Any) -> tuple[Types, dict[str, list[int]]]:
        """What all platforms keep, and which of it is whose."""
        where = self.windows, inputs.shape[0], inputs.shape[-1]
        algorithms = {p: self.algorithm_on(p, inputs) for p in (*PLATFORMS, OTHER)}
        return _places({p: algorithm.kept(*where) for p, algorithm in algorithms.items()})

    def run(self, part: "type[_Part]", *operands: Any) -> list[Array]:
        """The outputs of a part; None stands for an operand that is not there."""
        there = tuple(operand is not None for operand in operands)
        given = [operand for operand in operands if operand is not None]
        computation = part(self, there)
        if self.algorithm == "auto":
            return by_platform(computation, *given)
        return computation.on(OTHER)(*given)


def max_pool(
    inputs: Shaped[Array, "n *spatial channels"],
    pool: Pool,
    real: Bool[Array, " rows"] | None = None,
) -> Shaped[Array, "n *out channels"]:
    """The largest element of each window, or the smallest."""
    if jnp.issubdtype(inputs.dtype, jnp.inexact):
        return _differentiable(inputs, real, pool)
    return pool.run(_Values, inputs)[0]


def max_pool_with_indices(
    inputs: Shaped[Array, "n *spatial channels"],
    plane: Integer[Array, "1 *spatial 1"],
    pool: Pool,
    real: Bool[Array, " rows"] | None = None,
) -> tuple[Shaped[Array, "n *out channels"], Integer[Array, "n *out channels"]]:
    """The same, and what `plane` holds where each lies."""
    values, indices, *kept = pool.run(_Found, lax.stop_gradient(inputs), plane, real)
    if jnp.issubdtype(inputs.dtype, jnp.inexact):
        values = _tied(inputs, values, kept, real, pool)
    return values, indices


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _differentiable(inputs: Array, real: Array | None, pool: Pool) -> Array:
    return pool.run(_Values, inputs)[0]


@_differentiable.defjvp
def _tangent(pool: Pool, primals, tangents):
    inputs, real = primals
    still = lax.stop_gradient(inputs)
    values, *kept = pool.run(_Found, still, None, real)
    moved = pool.run(_Moved, tangents[0], still, real, *kept)
    return _tied(inputs, values, kept, real, pool), moved[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(4,))
def _tied(inputs: Array, values: Array, kept: Any, real: Any, pool: Pool) -> Array:
    """`values`, with the tangent of the elements of `inputs` that they are."""
    # so that `jax.experimental.jet`, which skips tangents, takes it for no constant
    lax.neg(inputs)
    return values


@_tied.defjvp
def _tied_tangent(pool: Pool, primals, tangents):
    inputs, _, kept, real = primals
    moved = pool.run(_Moved, tangents[0], lax.stop_gradient(inputs), real, *kept)
    return _tied(*primals, pool), moved[0]


@dataclasses.dataclass(frozen=True)
class _Part(PerPlatform):
    """A part of a pool, and which of its operands are there."""

    pool: Pool
    there: tuple[bool, ...]

    def on(self, platform: str) -> Callable[..., list[Array]]:
        def compute(*operands: Array) -> list[Array]:
            given = iter(operands)
            every = [next(given) if there else None for there in self.there]
            return self.made(platform, *every)

        return compute

    def made(self, platform: str, *operands: Any) -> list[Array]:
        """The outputs on a platform, from all operands."""
        raise NotImplementedError


class _Values(_Part):
    def made(self, platform: str, *operands: Any) -> list[Array]:
        pool = self.pool
        algorithm = pool.algorithm_on(platform, operands[0])
        return [algorithm.extremes(*operands, pool.windows, pool.largest)]

    def outputs(self, operands: Sequence[Any]) -> Types:
        return [one_a_window(operands[0], self.pool.windows)]


class _Found(_Part):
    def made(self, platform: str, *operands: Any) -> list[Array]:
        pool = self.pool
        algorithm = pool.algorithm_on(platform, operands[0])
        values, indices, own = algorithm.found(*operands, pool.windows, pool.largest)
        types, places = pool.kept(operands[0])
        filled = dict(zip(places[platform], own, strict=True))
        rest = [
            filled[place] if place in filled else jnp.zeros(one.shape, one.dtype)
            for place, one in enumerate(types)
        ]
        return [values, *rest] if indices is None else [values, indices, *rest]

    def outputs(self, operands: Sequence[Any]) -> Types:
        inputs, *others = operands
        made = [one_a_window(inputs, self.pool.windows)]
        if self.there[1]:
            made.append(one_a_window(inputs, self.pool.windows, others[0].dtype))
        return [*made, *self.pool.kept(inputs)[0]]


class _Moved(_Part):
    def made(self, platform: str, *operands: Any) -> list[Array]:
        tangent, inputs, real, *kept = operands
        pool = self.pool
        own = [kept[place] for place in pool.kept(inputs)[1][platform]]
        moved = pool.algorithm_on(platform, inputs).moved
        return [moved(tangent, inputs, real, pool.windows, pool.largest, own)]

    def outputs(self, operands: Sequence[Any]) -> Types:
        return [one_a_window(operands[1], self.pool.windows, operands[0].dtype)]


def _places(wanted: dict[str, Types]) -> tuple[Types, dict[str, list[int]]]:
    """The fewest arrays that have all that each wants, and which of them are whose."""
    arrays: Types = []
    places: dict[str, list[int]] = {}
    for name, types in wanted.items():
        own = places[name] = []
        for one in types:
            free = [i for i, other in enumerate(arrays) if other == one and i not in own]
            if not free:
                free = [len(arrays)]
                arrays.append(one)
            own.append(free[0])
    return arrays, places
