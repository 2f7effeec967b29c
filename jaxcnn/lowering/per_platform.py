"""What differs from platform to platform, and what follows from it: see `by_platform`."""

import abc
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.experimental.jet import jet
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
OTHER = "other"  # any platform that is none of these


class PerPlatform(abc.ABC):
    """A computation that takes arrays, and how each platform makes it."""

    @abc.abstractmethod
    def on(self, platform: str) -> Callable[..., Sequence[Array]]:
        """The computation as one of `PLATFORMS` or `OTHER` makes it."""

    @abc.abstractmethod
    def outputs(self, operands: Sequence[Any]) -> Sequence[Any]:
        """What has the shapes and dtypes of the outputs, for operands with shapes and dtypes."""


@dataclasses.dataclass(frozen=True)
class Tangent(PerPlatform):
    """How the outputs move with some operands: takes all operands, then the tangents of those.

    Outputs of dtypes that have no tangents are left out.
    """

    of: PerPlatform
    moving: tuple[int, ...]

    def on(self, platform: str) -> Callable[..., list[Array]]:
        compute = self.of.on(platform)

        def tangent(*operands: Array) -> list[Array]:
            still, tangents = self._parted(operands)

            def moved(*moving: Array) -> list[Array]:
                outputs = compute(*put(still, self.moving, moving))
                return [output for output in outputs if moves(output)]

            return jax.jvp(moved, [still[i] for i in self.moving], tangents)[1]

        return tangent

    def outputs(self, operands: Sequence[Any]) -> list[Any]:
        still, _ = self._parted(operands)
        return [output for output in self.of.outputs(still) if moves(output)]

    def _parted(self, operands: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        count = len(operands) - len(self.moving)
        return list(operands[:count]), list(operands[count:])


@dataclasses.dataclass(frozen=True)
class Transposed(PerPlatform):
    """The transpose in some operands: takes the others, then cotangents of some outputs.

    Attributes:
      of: a computation that is linear in those operands.
      linear: which operands these are.
      types: shapes and dtypes of these.
      seen: the outputs that have cotangents.
    """

    of: PerPlatform
    linear: tuple[int, ...]
    types: tuple[jax.ShapeDtypeStruct, ...]
    seen: tuple[int, ...]

    def on(self, platform: str) -> Callable[..., list[Array]]:
        compute = self.of.on(platform)

        def transposed(*operands: Array) -> list[Array]:
            count = len(operands) - len(self.seen)
            rest, cotangents = list(operands[:count]), list(operands[count:])

            def mapped(*moving: Array) -> list[Array]:
                outputs = compute(*_inserted(rest, self.linear, moving))
                return [outputs[i] for i in self.seen]

            types = like(self.types, map(jax.typeof, operands))
            return list(jax.linear_transpose(mapped, *types)(cotangents))

        return transposed

    def outputs(self, operands: Sequence[Any]) -> Sequence[Any]:
        return self.types


@dataclasses.dataclass(frozen=True)
class Batched(PerPlatform):
    """The computation of each element of a batch, the outputs along a first axis.

    Attributes:
      of: the computation of one element.
      axes: where the batch lies in each operand; None for one that all elements share.
    """

    of: PerPlatform
    axes: tuple[int | None, ...]

    def on(self, platform: str) -> Callable[..., Sequence[Array]]:
        return jax.vmap(self.of.on(platform), in_axes=self.axes)

    def outputs(self, operands: Sequence[Any]) -> list[jax.ShapeDtypeStruct]:
        def one(operand: Any, axis: int | None) -> Any:
            if axis is None:
                return operand
            shape = (*operand.shape[:axis], *operand.shape[axis + 1 :])
            return jax.ShapeDtypeStruct(shape, operand.dtype)

        pairs = list(zip(operands, self.axes, strict=True))
        (size, *_) = (operand.shape[axis] for operand, axis in pairs if axis is not None)
        return [
            jax.ShapeDtypeStruct((size, *output.shape), output.dtype)
            for output in self.of.outputs([one(*pair) for pair in pairs])
        ]


@dataclasses.dataclass(frozen=True)
class Series(PerPlatform):
    """Taylor series: takes all operands, then all terms of some; gives outputs, terms of each.

    Terms are coefficients, as the rules of `jet` take them: no factorials.

    Attributes:
      of: the computation.
      moving: which operands have terms.
      order: terms of each.
    """

    of: PerPlatform
    moving: tuple[int, ...]
    order: int

    def on(self, platform: str) -> Callable[..., list[Array]]:
        compute = self.of.on(platform)

        def series(*operands: Array) -> list[Array]:
            still, terms = self._parted(operands)

            def moved(*moving: Array) -> list[Array]:
                return list(compute(*put(still, self.moving, moving)))

            moving = [still[i] for i in self.moving]
            outputs, found = jet(moved, moving, self.rows(terms), factorial_scaled=False)
            return [*outputs, *(term for own in found for term in own)]

        return series

    def outputs(self, operands: Sequence[Any]) -> list[Any]:
        outputs = self.of.outputs(self._parted(operands)[0])
        return [*outputs, *(output for output in outputs for _ in range(self.order))]

    def rows(self, terms: Sequence[Any]) -> list[list[Any]]:
        """The terms of each array, which lie one after the other."""
        return [list(terms[i : i + self.order]) for i in range(0, len(terms), self.order)]

    def _parted(self, operands: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        count = len(operands) - len(self.moving) * self.order
        return list(operands[:count]), list(operands[count:])


def put(values: list[Any], places: Sequence[int], others: Sequence[Any]) -> list[Any]:
    """The values with others at some places."""
    values = list(values)
    for place, other in zip(places, others, strict=True):
        values[place] = other
    return values


def _inserted(values: list[Any], places: Sequence[int], others: Sequence[Any]) -> list[Any]:
    """The values with others between them, which come to lie at some places."""
    values = list(values)
    for place, other in zip(places, others, strict=True):
        values.insert(place, other)
    return values


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
