"""Computations that are made in another way on each platform, told apart when they are lowered.

While JAX traces nobody knows where a program will run: `jax.default_device`, committed arrays,
ahead-of-time compilation and `jax.export` say it later, the last of them for several platforms at
once. So a computation with several forms is traced as one operation, and each platform's form is
traced, differentiated and lowered where that platform is lowered for, and nowhere else.

A lowering says what differs as a frozen dataclass, equal to another if it computes the same:

    @dataclasses.dataclass(frozen=True)
    class Pooled(PerPlatform):
        windows: Windows

        def on(self, platform):
            return functools.partial(by_shifts if platform == "cpu" else by_windows, self.windows)

        def outputs(self, inputs):  # shapes and dtypes are the same on every platform
            return [jax.ShapeDtypeStruct(..., inputs.dtype)]

    (outputs,) = by_platform(Pooled(windows), inputs)

`on` gives a function of the operands to a sequence of arrays, one for each of `outputs`, in
whatever JAX can trace, but without collectives: a rule of its own (`jax.custom_jvp`) that holds on
all platforms goes around the call, one that holds on a single platform inside.

Derivatives and batches are such computations too: of a computation f with operands x,

    Tangent       (x, dx) to J dx, dx for those operands that move       jax.jvp of f.on(platform)
    Transposed    (rest, dy) to M^T dy, M the map in the other operands  jax.linear_transpose
    Batched       f of each element of a batch                           jax.vmap

so that what is kept for the backward pass are the operands, whichever platform it is for.
"""

import abc
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend import core
from jax.interpreters import ad, batching, mlir, partial_eval
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
    def outputs(self, *operands: Any) -> Sequence[Any]:
        """What has the shapes and dtypes of the outputs, for operands with shapes and dtypes."""


def by_platform(computation: PerPlatform, *operands: Array) -> list[Array]:
    """The outputs of a computation, made as the platform does that the program is lowered for."""
    return _bind(computation, _Settings.now(), operands)


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What of JAX's settings a trace depends on, kept for when the platform's form is traced."""

    x64: bool
    precision: Any

    @classmethod
    def now(cls) -> "_Settings":
        return cls(jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision)  # pyright: ignore

    @contextlib.contextmanager
    def set(self) -> Iterator[None]:
        with jax.enable_x64(self.x64), jax.default_matmul_precision(self.precision):
            yield


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
                outputs = compute(*_put(still, self.moving, moving))
                return [output for output in outputs if _moves(output)]

            return jax.jvp(moved, [still[i] for i in self.moving], tangents)[1]

        return tangent

    def outputs(self, *operands: Any) -> list[Any]:
        still, _ = self._parted(operands)
        return [output for output in self.of.outputs(*still) if _moves(output)]

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

            types = _like(self.types, map(jax.typeof, operands))
            return list(jax.linear_transpose(mapped, *types)(cotangents))

        return transposed

    def outputs(self, *operands: Any) -> Sequence[Any]:
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

    def outputs(self, *operands: Any) -> list[jax.ShapeDtypeStruct]:
        def one(operand: Any, axis: int | None) -> Any:
            if axis is None:
                return operand
            shape = (*operand.shape[:axis], *operand.shape[axis + 1 :])
            return jax.ShapeDtypeStruct(shape, operand.dtype)

        pairs = list(zip(operands, self.axes, strict=True))
        (size, *_) = (operand.shape[axis] for operand, axis in pairs if axis is not None)
        return [
            jax.ShapeDtypeStruct((size, *output.shape), output.dtype)
            for output in self.of.outputs(*(one(*pair) for pair in pairs))
        ]


def _put(values: list[Any], places: Sequence[int], others: Sequence[Any]) -> list[Any]:
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


def _like(arrays: Iterable[Any], operands: Iterable[Any]) -> list[ShapedArray]:
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


def _moves(value: Any) -> bool:
    """Whether its dtype has tangents."""
    return jnp.issubdtype(value.dtype, jnp.inexact)


# The operation itself

_operation = core.Primitive("by_platform")
_operation.multiple_results = True


def _bind(computation: PerPlatform, settings: _Settings, operands: Sequence[Array]) -> list[Array]:
    """The operation of operands that vary alike over the axes of a `shard_map`.

    What is made to vary here is summed over these axes in the transpose, as JAX does for all of
    its operations.
    """
    kinds = [jax.typeof(operand).manual_axis_type.varying for operand in operands]
    axes = frozenset().union(*kinds)
    operands = [
        lax.pcast(operand, tuple(sorted(axes - kind)), to="varying") if axes - kind else operand
        for operand, kind in zip(operands, kinds, strict=True)
    ]
    return _operation.bind(*operands, computation=computation, settings=settings)


@functools.partial(jax.jit, static_argnames=("computation", "settings"))
def _compiled(*operands: Array, computation: PerPlatform, settings: _Settings) -> list[Array]:
    return _operation.bind(*operands, computation=computation, settings=settings)


@_operation.def_impl
def _run(*operands: Array, computation: PerPlatform, settings: _Settings) -> list[Array]:
    with jax.disable_jit(False):
        return _compiled(*operands, computation=computation, settings=settings)


@_operation.def_abstract_eval
def _types(*operands: Any, computation: PerPlatform, settings: _Settings) -> list[ShapedArray]:
    return _like(computation.outputs(*operands), operands)


def _jvp(
    primals: Sequence[Array], tangents: Sequence[Any], *, computation: PerPlatform, settings: Any
) -> tuple[list[Array], list[Any]]:
    outputs = _bind(computation, settings, primals)
    moving = tuple(
        i
        for i, (p, t) in enumerate(zip(primals, tangents, strict=True))
        if type(t) is not ad.Zero and _moves(p)
    )
    moved = iter(())
    if moving and any(map(_moves, outputs)):
        operands = [*primals, *(tangents[i] for i in moving)]
        moved = iter(_bind(Tangent(computation, moving), settings, operands))
    return outputs, [
        next(moved) if moving and _moves(output) else ad.Zero(jax.typeof(output).to_tangent_aval())
        for output in outputs
    ]


def _transpose(
    cotangents: Sequence[Any], *operands: Any, computation: PerPlatform, settings: _Settings
) -> list[Any]:
    linear = tuple(i for i, operand in enumerate(operands) if ad.is_undefined_primal(operand))
    types = tuple(
        jax.ShapeDtypeStruct(operands[i].aval.shape, operands[i].aval.dtype) for i in linear
    )
    seen = tuple(i for i, cotangent in enumerate(cotangents) if type(cotangent) is not ad.Zero)
    found = [ad.Zero(operands[i].aval.to_ct_aval()) for i in linear]
    if seen:
        rest = [operand for operand in operands if not ad.is_undefined_primal(operand)]
        transposed = Transposed(computation, linear, types, seen)
        found = _bind(transposed, settings, [*rest, *(cotangents[i] for i in seen)])
    return _put([None] * len(operands), linear, found)


def _batch(
    operands: Sequence[Array], axes: Sequence[Any], *, computation: PerPlatform, settings: _Settings
) -> tuple[list[Array], list[int]]:
    outputs = _bind(Batched(computation, tuple(axes)), settings, operands)
    return outputs, [0] * len(outputs)


@functools.partial(jax.jit, static_argnames=("computation", "platform"))
def _form(*operands: Array, computation: PerPlatform, platform: str) -> Sequence[Array]:
    """The computation on a platform: as a program, whose trace the next lowering finds again.

    Without the values that JAX computes beside a derivative, which are of no use here.
    """
    compute = computation.on(platform)
    if not isinstance(computation, Tangent | Transposed | Batched):
        return compute(*operands)
    closed = jax.make_jaxpr(compute)(*operands)
    used = [True] * len(closed.jaxpr.outvars)
    jaxpr, _ = partial_eval.dce_jaxpr(closed.jaxpr, used, instantiate=True)
    return core.jaxpr_as_fun(core.ClosedJaxpr(jaxpr, closed.consts))(*operands)


def _lowered(platform: str) -> mlir.LoweringRule:
    def compute(*operands: Array, computation: PerPlatform, settings: _Settings) -> Sequence[Array]:
        with settings.set():
            return _form(*operands, computation=computation, platform=platform)

    return mlir.lower_fun(compute, multiple_results=True)


ad.primitive_jvps[_operation] = _jvp
ad.primitive_transposes[_operation] = _transpose
batching.primitive_batchers[_operation] = _batch
for _platform in PLATFORMS:
    mlir.register_lowering(_operation, _lowered(_platform), platform=_platform)
mlir.register_lowering(_operation, _lowered(OTHER))
