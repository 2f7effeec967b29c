"""Sums of windows by what each platform takes for them.

A sum is linear: its tangent is the sum of the tangents, a computation of its own, so that nothing
is kept for the backward pass. Each algorithm has these parts:

    sum_pool(inputs, windows)      the sums, differentiable
    moved_sums(tangent, windows)   the same, in a form that is good to transpose
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxcnn.geometry import Windows
from jaxcnn.lowering import choices, sum_shift, sum_stages, sum_window
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.per_platform import PerPlatform
from jaxcnn.lowering.problem import one_a_window

SUM_POOL_ALGORITHMS: dict[str, ModuleType] = {
    "shift": sum_shift,
    "window": sum_window,
    "stages": sum_stages,
}


def sum_pool(
    inputs: Num[Array, "n *spatial channels"], windows: Windows, algorithm: str
) -> Num[Array, "n *out channels"]:
    """Adds up each window by the algorithm named, or by "auto"; the padding counts as 0."""
    if algorithm != "auto":
        return SUM_POOL_ALGORITHMS[algorithm].sum_pool(inputs, windows)
    if jnp.issubdtype(inputs.dtype, jnp.inexact):
        return _differentiable(inputs, windows)
    return by_platform(_Sums(windows), inputs)[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _differentiable(inputs: Array, windows: Windows) -> Array:
    return by_platform(_Sums(windows), inputs)[0]


@_differentiable.defjvp
def _tangent(windows: Windows, primals, tangents):
    return _differentiable(*primals, windows), by_platform(_MovedSums(windows), *tangents)[0]


@dataclasses.dataclass(frozen=True)
class _Sums(PerPlatform):
    windows: Windows

    def algorithm(self, platform: str) -> ModuleType:
        """What makes them on a platform."""
        return SUM_POOL_ALGORITHMS[choices.sum_pool_choice(platform, self.windows).algorithm]

    def on(self, platform: str) -> Callable[..., list[Array]]:
        return lambda inputs: [self.algorithm(platform).sum_pool(inputs, self.windows)]

    def outputs(self, operands: Sequence[Any]) -> list[jax.ShapeDtypeStruct]:
        return [one_a_window(operands[0], self.windows)]


class _MovedSums(_Sums):
    def on(self, platform: str) -> Callable[..., list[Array]]:
        return lambda tangent: [self.algorithm(platform).moved_sums(tangent, self.windows)]
