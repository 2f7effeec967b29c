"""The maximum whose whole gradient goes to one element: the first that reaches it.

`jnp.max` splits the gradient evenly among ties, and loses it on NaN. Here the tangent is stated:
that of the first element, in row-major order of the reduced axes, that equals the maximum, or of
the first NaN where there is one. It is a sum of selected elements, so that its transpose selects
too and scatters nothing.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Integer, Num, Shaped

from jaxcnn.geometry import Size

Axes = tuple[int, ...]


def first_max(values: Num[Array, "..."], axes: Axes) -> Num[Array, "..."]:
    """The maximum over `axes`, which ascend and are dropped; NaN where there is one."""
    if jnp.issubdtype(values.dtype, jnp.floating):
        return _differentiable(values, axes)
    return lax.reduce_max(values, axes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _differentiable(values: Float[Array, "..."], axes: Axes) -> Float[Array, "..."]:
    return lax.reduce_max(values, axes)


@_differentiable.defjvp
def _tangent(axes: Axes, primals, tangents) -> tuple[Array, Array]:
    (values,), (values_dot,) = primals, tangents
    position = first_position(values, axes)
    return _differentiable(values, axes), take_position(values_dot, position, axes)


def first_position(values: Num[Array, "..."], axes: Axes) -> Int[Array, "..."]:
    """Row-major position of the first maximum within `axes`, which are kept with size 1."""
    values = lax.stop_gradient(values)
    hit = (values == jnp.expand_dims(lax.reduce_max(values, axes), axes)) | (values != values)
    position = positions(values.shape, axes)
    beyond = jnp.asarray(np.iinfo(position.dtype).max, position.dtype)
    return jnp.expand_dims(lax.reduce_min(jnp.where(hit, position, beyond), axes), axes)


def take_position(
    values: Shaped[Array, "..."], position: Int[Array, "..."], axes: Axes
) -> Shaped[Array, "..."]:
    """Picks the element at `position` (from `first_position`) and drops `axes`.

    `values` may have size 1 along axes that are not reduced.
    """
    shape = list(position.shape)
    for axis in axes:
        shape[axis] = values.shape[axis]
    chosen = positions(shape, axes) == position
    kept = jnp.where(chosen, values, jnp.zeros((), values.dtype))
    return jnp.sum(kept, axis=axes, dtype=values.dtype)


def first_of(arrays: Sequence[Num[Array, "..."]]) -> Num[Array, "..."]:
    """The maximum of several arrays, element by element, with the tangent of the first."""
    if jnp.issubdtype(arrays[0].dtype, jnp.floating):
        return _differentiable_of(*arrays)
    return functools.reduce(lax.max, arrays)


@jax.custom_jvp
def _differentiable_of(*arrays: Float[Array, "..."]) -> Float[Array, "..."]:
    return functools.reduce(lax.max, arrays)


@_differentiable_of.defjvp
def _tangent_of(primals, tangents) -> tuple[Array, Array]:
    return _differentiable_of(*primals), pick(tangents, winner_of(primals))


def winner_of(arrays: Sequence[Num[Array, "..."]]) -> Int[Array, "..."]:
    """Which array holds the first maximum, or the first NaN, of each element."""
    best, *rivals = map(lax.stop_gradient, arrays)
    winner = jnp.zeros(best.shape, jnp.int32)
    for position, rival in enumerate(rivals, start=1):
        wins = beats(rival, best, True)
        best = jnp.where(wins, rival, best)
        winner = jnp.where(wins, jnp.asarray(position, winner.dtype), winner)
    return winner


def pick(
    arrays: Sequence[Shaped[Array, "..."]], winner: Integer[Array, "..."]
) -> Shaped[Array, "..."]:
    """Takes each element from the array that `winner` (from `winner_of`) names."""
    picked = arrays[0]
    for position, values in enumerate(arrays[1:], start=1):
        picked = jnp.where(winner == position, values, picked)
    return picked


def beats(rival: Array, best: Array, largest: bool) -> Bool[Array, "..."]:
    """Whether `rival` takes the place of `best`: better, or the first NaN."""
    better = rival > best if largest else rival < best
    if jnp.issubdtype(rival.dtype, jnp.inexact):
        better |= (rival != rival) & (best == best)
    return better


def positions(shape: Sequence[Size], axes: Axes) -> Int[Array, "..."]:
    """Row-major positions within `axes`, of size 1 along all others."""
    position = jnp.zeros((1,) * len(shape), jnp.int32)
    for axis in axes:
        along = [1] * len(shape)
        along[axis] = shape[axis]
        position = position * shape[axis] + lax.broadcasted_iota(jnp.int32, along, axis)
    return position
