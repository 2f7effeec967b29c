"""What differs from platform to platform: see `by_platform`. What follows from it: `derived`."""

import abc
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
from jax.core import ShapedArray
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
OTHER = "other"  # any platform that is none of these


class PerPlatform(abc.ABC):
    """A computation that takes arrays, and how each platform makes it.

    Attributes:
      of_the_device: whether the platform is always that of the device, as for what goes around a
        defect of its compiler, also where the forms of another are asked for.
      multiplies: whether it is a convolution or a product, which policies of `jax.checkpoint` keep.
      apart: whether a CPU compiles it apart from what is around it: see `apart`.
    """

    of_the_device: ClassVar[bool] = False
    multiplies: ClassVar[bool] = False
    apart: ClassVar[bool] = False

    @abc.abstractmethod
    def on(self, platform: str) -> Callable[..., Sequence[Array]]:
        """The computation as one of `PLATFORMS` or `OTHER` makes it."""

    @abc.abstractmethod
    def outputs(self, operands: Sequence[Any]) -> Sequence[Any]:
        """What has the shapes and dtypes of the outputs, for operands with shapes and dtypes."""

    def transposed(
        self, platform: str, linear: tuple[int, ...], types: Sequence[Any]
    ) -> Callable[..., Sequence[Array]] | None:
        """The transpose in operands of such types, where it is not left to JAX: see `Transposed`.

        It takes the other operands and the cotangents of all outputs.
        """
        return None

    def series(
        self, platform: str, operands: Sequence[Sequence[Array]]
    ) -> Sequence[Sequence[Array]] | None:
        """All terms of each output from those of each operand, where not left to `jet`: `Series`.

        The first of the terms are the values; an operand that does not move has no others.
        """
        return None


def like(arrays: Iterable[Any], operands: Iterable[Any]) -> list[ShapedArray]:
    """The types of arrays that lie on the devices that the operands lie on, not split."""
    on_mesh = next((operand for operand in operands if not operand.sharding.mesh.empty), None)
    if on_mesh is None:
        return [ShapedArray(array.shape, array.dtype) for array in arrays]
    whole = NamedSharding(on_mesh.sharding.mesh, PartitionSpec())
    varying = on_mesh.manual_axis_type
    return [
        ShapedArray(array.shape, array.dtype, sharding=whole, manual_axis_type=varying)
        for array in arrays
    ]


def moves(value: Any) -> bool:
    """Whether its dtype has tangents."""
    return jnp.issubdtype(value.dtype, jnp.inexact)
