"""What a CPU is to compute once, and not again in every operation that reads it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from jax import lax
from jaxtyping import Array, Shaped

from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.per_platform import OTHER, PerPlatform


def once_on_cpu(values: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """`values`, behind a barrier on a CPU alone.

    An accelerator's compiler weighs what it computes again against what it would write to memory
    and read back, and a barrier makes it write.
    """
    return by_platform(_Once(), values)[0]


@dataclasses.dataclass(frozen=True)
class _Once(PerPlatform):
    def on(self, platform: str) -> Callable[..., list[Array]]:
        if platform in ("cpu", OTHER):
            return lambda values: [lax.optimization_barrier(values)]
        return lambda values: [values]

    def outputs(self, operands: Sequence[Any]) -> Sequence[Any]:
        return operands
