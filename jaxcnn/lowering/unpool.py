"""Maxima put back at their places by the algorithm that suits the platform."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Integer, Num

from jaxcnn.geometry import Windows
from jaxcnn.lowering import choices, unpool_scatter, unpool_shift, unpool_sort, unpool_tiles
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.per_platform import PerPlatform
from jaxcnn.lowering.problem import Typed

UNPOOL_ALGORITHMS = {
    "scatter": unpool_scatter.place,
    "shift": unpool_shift.place,
    "sort": unpool_sort.place,
    "tiles": unpool_tiles.place,
}


def unpool(
    values: Num[Array, "n *out channels"],
    indices: Integer[Array, "n *out channels"],
    windows: Windows,
) -> Num[Array, "n *spatial channels"]:
    """Puts values at row-major positions in the spatial axes, zeros elsewhere.

    Where several have the same index the last in row-major order stays. One out of range is
    dropped. `windows` are those of the pool over the result.
    """
    return by_platform(_Unpool(windows), values, indices)[0]


@dataclasses.dataclass(frozen=True)
class _Unpool(PerPlatform):
    windows: Windows

    def on(self, platform: str) -> Callable[..., list[Array]]:
        place = UNPOOL_ALGORITHMS[choices.unpool_choice(platform, self.windows).algorithm]

        def compute(values: Array, indices: Array) -> list[Array]:
            if indices.dtype.itemsize < 4:
                indices = indices.astype(jnp.int32)  # 8 bits would not hold every place
            return [place(values, indices, self.windows)]

        return compute

    def outputs(self, operands: Sequence[Typed]) -> list[jax.ShapeDtypeStruct]:
        return unpool_scatter.unpooled_type(operands[0], self.windows)
