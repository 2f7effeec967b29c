"""What follows from a computation that differs by platform: derivatives, batches and series."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.core import ShapedArray
from jax.experimental.jet import jet
from jaxtyping import Array

from jaxcnn.lowering.per_platform import PerPlatform, like, moves


class Derived(PerPlatform):
    """What follows from a computation, as `of`, and is made where that is."""

    of: PerPlatform

    @property
    def of_the_device(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.of.of_the_device

    @property
    def multiplies(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.of.multiplies

    @property
    def apart(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.of.apart


@dataclasses.dataclass(frozen=True)
class Tangent(Derived):
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
class Transposed(Derived):
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
            types = like(self.types, map(jax.typeof, operands))
            stated = self.of.transposed(platform, self.linear, types)
            if stated is not None:
                return list(stated(*operands))
            count = len(operands) - len(self.seen)
            rest, cotangents = list(operands[:count]), list(operands[count:])

            def mapped(*moving: Array) -> list[Array]:
                outputs = compute(*_inserted(rest, self.linear, moving))
                return [outputs[i] for i in self.seen]

            return list(jax.linear_transpose(mapped, *types)(cotangents))

        return transposed

    def outputs(self, operands: Sequence[Any]) -> Sequence[Any]:
        return self.types


@dataclasses.dataclass(frozen=True)
class Batched(Derived):
    """The computation of each element of a batch, the outputs along a first axis.

    Attributes:
      of: the computation of one element.
      axes: where the batch lies in each operand; None for one that all elements share.
    """

    of: PerPlatform
    axes: tuple[int | None, ...]

    def on(self, platform: str) -> Callable[..., Sequence[Array]]:
        return jax.vmap(self.of.on(platform), in_axes=self.axes)

    def transposed(
        self, platform: str, linear: tuple[int, ...], types: Sequence[Any]
    ) -> Callable[..., Sequence[Array]] | None:
        moved = [axis for i in linear if (axis := self.axes[i]) is not None]
        if len(moved) < len(linear):  # what elements share gets a sum over them: left to JAX
            return None
        one = [_without(t, axis) for t, axis in zip(types, moved, strict=True)]
        stated = self.of.transposed(platform, linear, one)
        if stated is None:
            return None
        rest = [axis for i, axis in enumerate(self.axes) if i not in linear]

        def batched(*operands: Array) -> Sequence[Array]:
            axes = (*rest, *(0,) * (len(operands) - len(rest)))
            return jax.vmap(lambda *one: tuple(stated(*one)), axes, tuple(moved))(*operands)

        return batched

    def outputs(self, operands: Sequence[Any]) -> list[jax.ShapeDtypeStruct]:
        def one(operand: Any, axis: int | None) -> Any:
            return operand if axis is None else _without(operand, axis)

        pairs = list(zip(operands, self.axes, strict=True))
        (size, *_) = (operand.shape[axis] for operand, axis in pairs if axis is not None)
        return [
            jax.ShapeDtypeStruct((size, *output.shape), output.dtype)
            for output in self.of.outputs([one(*pair) for pair in pairs])
        ]


@dataclasses.dataclass(frozen=True)
class Series(Derived):
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
            moves = dict(zip(self.moving, self.rows(terms), strict=True))
            all_terms = [[value, *moves.get(i, ())] for i, value in enumerate(still)]
            stated = self.of.series(platform, all_terms)
            if stated is not None:
                return [*(own[0] for own in stated), *(term for own in stated for term in own[1:])]

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


def product_series(
    multiply: Callable[[Array, Array], Array], first: Sequence[Array], second: Sequence[Array]
) -> list[Array]:
    """The terms of a map that is linear in each of two operands, from theirs.

    `jet` lacks a rule for a barrier, which such a map may have inside.
    """
    found = []
    for n in range(max(len(first), len(second))):
        pairs = [(i, n - i) for i in range(len(first)) if 0 <= n - i < len(second)]
        terms = [multiply(first[i], second[j]) for i, j in pairs]
        found.append(sum(terms[1:], start=terms[0]))
    return found


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


def _without(typed: Any, axis: int) -> ShapedArray:
    """The type of an element, from that of the batch."""
    shape = (*typed.shape[:axis], *typed.shape[axis + 1 :])
    return like([jax.ShapeDtypeStruct(shape, typed.dtype)], [typed])[0]
