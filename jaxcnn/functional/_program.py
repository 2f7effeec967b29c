"""Runs a function of this package as one program, also for who calls it outside `jit`.

Predicted: a call and its gradient take the time of one launch each, not of the checks and of the
dozens of operations that a function is written with. Measured on two CPU cores, with no program and
with this: a transposed convolution of 16x28x28x32 by 3x3x64 35 and 8 ms, its gradient 61 and 16.
Small ones of 2x9x8x4, with programs for what the lowerings compute and with this: an average pool
that hangs over 0.6 and 0.06 ms, a partial convolution 0.8 and 0.2, a convolution with a bias 0.14
and 0.09. Inside `jit` it is a call, traced once for layers that are alike; a network compiles in
the time, and runs in the memory, that it did without.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import jax

from jaxcnn.functional import _arguments, _meshes

P = ParamSpec("P")
R = TypeVar("R")

# Set by who counts products: a function of (name, options, operands, outputs) that names the
# program of such a call, or gives None where that call's own parts are to be looked at. JAX traces
# anew where it is another one.
naming = jax.make_user_context(default_value=None)


def program(
    *arrays: str, image: Callable[..., int] | None = None, beside: Sequence[str] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compiles a function for each value of its options.

    For functions that look at what is static alone: the options, the shapes and the dtypes. Not
    inlined, so that the gradient, too, is one program.

    Args:
      arrays: names of the arguments that are arrays; all others are options. The first is a batch
        of images, its batch axes before all others.
      image: takes the arguments by name and says how many axes one image of the first array has,
        channels included; None for a function that sees to meshes itself.
      beside: names of the arrays that hold one entry per image too, if they have as many axes.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = inspect.signature(function).parameters.values()
        positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]

        def spread(values: dict[str, Any], operands: dict[str, Any]) -> R:
            """Computes the function where its operands lie."""
            applied, axes_of = functools.partial(function, **values), image
            if axes_of is None:
                return applied(**operands)  # pyright: ignore[reportCallIssue]

            def split() -> tuple[int, list[str]]:
                rank = operands[arrays[0]].ndim
                names = [n for n in (arrays[0], *beside) if n in operands]
                return (
                    rank - axes_of(**values, **operands),
                    [name for name in names if operands[name].ndim == rank],
                )

            return _meshes.on_devices(applied, operands, split)

        def computed(options: _Options, operands: dict[str, Any]) -> R:
            try:
                return spread(options.values, operands)
            except (TypeError, ValueError) as error:
                raise _Refused(error) from None

        computed.__name__ = function.__name__
        compiled = jax.jit(computed, static_argnums=0)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given = dict(zip(positional, args, strict=False)) | kwargs
            names = [name for name in arrays if given.get(name) is not None]
            options = _Options({name: value for name, value in given.items() if name not in names})
            if len(given) < len(args) + len(kwargs):
                return function(*args, **kwargs)  # which says what is wrong
            operands = {n: _arguments.array(function.__name__, n, given[n]) for n in names}
            run = compiled if options.known else computed
            try:
                if naming.value is not None:
                    return _named(function.__name__, run, options, operands)
                return run(options, operands)
            except _Refused as refused:
                (error,) = refused.args
            raise error  # with the frames of where it arose, without those of JAX

        return call

    return decorate


def _named(function: str, run: Any, options: "_Options", operands: dict[str, Any]) -> Any:
    """A call under the name that `naming` gives it."""
    outputs = jax.eval_shape(functools.partial(run, options), operands)

    def call(operands: dict[str, Any]) -> Any:
        return run(options, operands)

    name = naming.value(function, options.values, operands, outputs)
    if name is None:
        return call(operands)
    call.__name__ = name
    return jax.jit(call)(operands)


class _Options:
    """The options of a call, equal to those of another if values and types are: True is not 1.

    Attributes:
      values: the options by their names.
      known: whether all are constants; an array is none.
    """

    def __init__(self, values: dict[str, Any]):
        self.values = values
        self._key = tuple((name, _key(value)) for name, value in sorted(values.items()))
        try:
            self._hash, self.known = hash(self._key), True
        except TypeError:
            self._hash, self.known = 0, False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Options) and self._key == other._key

    def __hash__(self) -> int:
        return self._hash


class _Refused(Exception):
    """Brings an error out of JAX."""


def _key(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value), *map(_key, value)
    return type(value), value
