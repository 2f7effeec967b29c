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

        def outputs(self, operands):  # shapes and dtypes are the same on every platform
            (inputs,) = operands
            return [jax.ShapeDtypeStruct(..., inputs.dtype)]

    (outputs,) = by_platform(Pooled(windows), inputs)

`on` gives a function of the operands to a sequence of arrays, one for each of `outputs`, in
whatever JAX can trace, but without collectives: a rule of its own (`jax.custom_jvp`) that holds on
all platforms goes around the call, one that holds on a single platform inside.

Derivatives and batches are such computations too: of a computation f with operands x,

    Tangent       (x, dx) to J dx, dx for those operands that move       jax.jvp of f.on(platform)
    Transposed    (rest, dy) to M^T dy, M the map in the other operands  jax.linear_transpose
    Batched       f of each element of a batch                           jax.vmap
    Series        x and terms to f(x) and terms                          jet

so that what is kept for the backward pass are the operands, whichever platform it is for.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax import lax
from jax.core import ShapedArray
from jax.experimental import jet
from jax.extend import core
from jax.extend.core.primitives import conv_general_dilated_p, select_n_p
from jax.interpreters import ad, batching, mlir, partial_eval
from jax.typing import ArrayLike
from jaxtyping import Array

from jaxcnn.lowering import apart
from jaxcnn.lowering.derived import Batched, Derived, Series, Tangent, Transposed, put
from jaxcnn.lowering.per_platform import OTHER, PLATFORMS, PerPlatform, like, moves


def by_platform(computation: PerPlatform, *operands: ArrayLike) -> list[Array]:
    """The outputs of a computation, made as the platform does that the program is lowered for."""
    return _bind(computation, _Settings.now(), operands)


def form(equation: Any, platform: str = "cpu") -> core.ClosedJaxpr:
    """What an equation of such an operation computes on a platform, for who reads a Jaxpr."""
    types = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in equation.invars]
    with equation.params["settings"].set():
        return jax.make_jaxpr(equation.params["computation"].on(platform))(*types)


# The platform whose forms are taken wherever a program is lowered, for who tests them; None for
# each its own. JAX traces anew where it is another one.
forms_of = jax.make_user_context(default_value=None)


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What of JAX's settings a trace depends on, kept for when the platform's form is traced."""

    x64: bool
    precision: Any
    forms: str | None

    @classmethod
    def now(cls) -> "_Settings":
        config: Any = jax.config
        precision = config.jax_default_matmul_precision
        return cls(config.jax_enable_x64, precision, forms_of.value)

    @contextlib.contextmanager
    def set(self) -> Iterator[None]:
        with (
            jax.enable_x64(self.x64),
            jax.default_matmul_precision(self.precision),
            forms_of(self.forms),
        ):
            yield


_operation = core.Primitive("by_platform")
_operation.multiple_results = True


def _bind(
    computation: PerPlatform, settings: _Settings, operands: Sequence[ArrayLike]
) -> list[Array]:
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
def _compiled(*operands: ArrayLike, computation: PerPlatform, settings: _Settings) -> list[Array]:
    return _operation.bind(*operands, computation=computation, settings=settings)


@_operation.def_impl
def _run(*operands: ArrayLike, computation: PerPlatform, settings: _Settings) -> list[Array]:
    with jax.disable_jit(False):
        return _compiled(*operands, computation=computation, settings=settings)


@_operation.def_abstract_eval
def _types(*operands: Any, computation: PerPlatform, settings: _Settings) -> list[ShapedArray]:
    return like(computation.outputs(operands), operands)


def _jvp(
    primals: Sequence[ArrayLike],
    tangents: Sequence[Any],
    *,
    computation: PerPlatform,
    settings: Any,
) -> tuple[list[Array], list[Any]]:
    outputs = _bind(computation, settings, primals)
    moving = tuple(
        i
        for i, (p, t) in enumerate(zip(primals, tangents, strict=True))
        if type(t) is not ad.Zero and moves(p)
    )
    moved = iter(())
    if moving and any(map(moves, outputs)):
        operands = [*primals, *(tangents[i] for i in moving)]
        moved = iter(_bind(Tangent(computation, moving), settings, operands))
    return outputs, [
        next(moved) if moving and moves(output) else ad.Zero(jax.typeof(output).to_tangent_aval())
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
    return put([None] * len(operands), linear, found)


def _batch(
    operands: Sequence[ArrayLike],
    axes: Sequence[Any],
    *,
    computation: PerPlatform,
    settings: _Settings,
) -> tuple[list[Array], list[int]]:
    outputs = _bind(Batched(computation, tuple(axes)), settings, operands)
    return outputs, [0] * len(outputs)


@functools.partial(jax.jit, static_argnames=("computation", "platform"))
def _form(*operands: Array, computation: PerPlatform, platform: str) -> Sequence[ArrayLike]:
    """The computation on a platform: as a program, whose trace the next lowering finds again.

    Without the values that JAX computes beside a derivative, which are of no use here.
    """
    compute = computation.on(platform)
    if not isinstance(computation, Derived):
        return compute(*operands)
    closed = jax.make_jaxpr(compute)(*operands)
    used = [True] * len(closed.jaxpr.outvars)
    jaxpr, _ = partial_eval.dce_jaxpr(closed.jaxpr, used, instantiate=True)
    return core.jaxpr_as_fun(core.ClosedJaxpr(jaxpr, closed.consts))(*operands)


def _lowered(platform: str) -> mlir.LoweringRule:
    def compute(*operands: Array, computation: PerPlatform, settings: _Settings) -> Any:
        with settings.set():
            form = (not computation.of_the_device and settings.forms) or platform
            outputs = _form(*operands, computation=computation, platform=form)
            return apart.call_of(outputs) if platform == "cpu" and computation.apart else outputs

    return mlir.lower_fun(compute, multiple_results=True)


def _series(
    primals: Sequence[ArrayLike], terms: Any, *, computation: PerPlatform, settings: _Settings
) -> tuple[list[Array], list[list[Array]]]:
    moving = tuple(i for i, primal in enumerate(primals) if moves(primal))
    series = Series(computation, moving, len(terms[0]))
    found = _bind(series, settings, [*primals, *(term for i in moving for term in terms[i])])
    count = len(found) // (1 + series.order)
    return found[:count], series.rows(found[count:])


def _remembered(
    saveable: Any, unknown: Sequence[bool], there: Sequence[bool], equation: Any
) -> Any:
    """What a policy of `jax.checkpoint` keeps.

    To it, such a computation is a convolution, or a select where it does not multiply.
    """
    outputs = len(equation.outvars)
    needed = [v for v, known in zip(equation.invars, there, strict=True) if not known]
    if any(unknown):
        return None, equation, [True] * outputs, [True] * outputs, needed
    kind = conv_general_dilated_p if equation.params["computation"].multiplies else select_n_p
    if saveable(kind, *(v.aval for v in equation.invars)) is True:
        return equation, None, [False] * outputs, [False] * outputs, []
    return equation, equation, [False] * outputs, [True] * outputs, needed


ad.primitive_jvps[_operation] = _jvp
ad.primitive_transposes[_operation] = _transpose
batching.primitive_batchers[_operation] = _batch
jet.jet_rules[_operation] = _series
partial_eval.partial_eval_jaxpr_custom_rules[_operation] = _remembered
for _platform in PLATFORMS:
    mlir.register_lowering(_operation, _lowered(_platform), platform=_platform)
mlir.register_lowering(_operation, _lowered(OTHER))
