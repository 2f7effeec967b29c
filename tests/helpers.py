"""What the tests of many primitives do alike: a value with its gradients, and arrays of a case."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def value_and_gradients(
    function: Callable,
    cotangent: Any,
    args: Any,
    options: Mapping[str, Any] | None = None,
    beside: Mapping[str, Any] | None = None,
) -> tuple[Any, Any]:
    """A function's value and its gradients, by one program for all calls that differ in numbers.

    Args:
      function: what is called.
      cotangent: of its output, or of the first if there are several.
      args: the arrays that have gradients: one, a tuple, or a dictionary by their names.
      options: all that is no array.
      beside: arrays that have none, by their names.
    Returns:
      What the function gives, and gradients that are laid out as `args` are.
    """
    return _compiled(function, static(options), cotangent, args, dict(beside or {}))


def program(function, cotangent, args, options=None, beside=None) -> str:
    """The text of that program before XLA sees it."""
    lowered = _compiled.lower(function, static(options), cotangent, args, dict(beside or {}))
    return lowered.as_text()


def values_and_gradients(functions, cotangent, args, options=None, beside=None) -> list:
    """What `value_and_gradients` gives for each of several functions, as one program."""
    return _all_compiled(tuple(functions), static(options), cotangent, args, dict(beside or {}))


def static(options: Mapping[str, Any] | None) -> tuple:
    """Options as `jax.jit` takes them for static."""
    return tuple(sorted((options or {}).items()))


def _pulled(function, options, cotangent, args, beside):
    def call(args):
        if isinstance(args, dict):
            found = function(**args, **beside, **dict(options))
        else:
            given = args if isinstance(args, tuple | list) else (args,)
            found = function(*given, **beside, **dict(options))
        return (found[0] if isinstance(found, tuple) else found), found

    first, pullback, found = jax.vjp(call, args, has_aux=True)
    return found, pullback(cotangent.astype(first.dtype))[0]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _compiled(function, options, cotangent, args, beside):
    return _pulled(function, options, cotangent, args, beside)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _all_compiled(functions, options, cotangent, args, beside):
    return [_pulled(function, options, cotangent, args, beside) for function in functions]


def afresh(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of `functional` that is planned and traced anew at every call, in no program."""

    def call(*args, **options):
        plan, operands = function.prepare(*args, **options)
        return plan(operands)

    return call


def generator(case: str) -> np.random.Generator:
    """Of a case's numbers, the same in every run."""
    return np.random.default_rng(sum(map(ord, case)))


def convolution_arrays(
    case: str, shapes: tuple, batch=(2,), dtype=np.float64, transpose_kernel=False
) -> tuple[list[np.ndarray], dict[str, Any], np.random.Generator]:
    """Inputs, kernel and bias of a convolution, its options, and a generator for more.

    Args:
      case: its name.
      shapes: spatial sizes, input and output channels, the kernel's size, options.
      batch: sizes of the axes before the spatial ones.
      dtype: of all three.
      transpose_kernel: lays the kernel out as that of the transpose, and says so in the options.
    """
    sizes, in_features, out_features, kernel_size, options = shapes
    rng, groups = generator(case), options.get("feature_group_count", 1)
    channels = in_features // groups, out_features
    if transpose_kernel:
        channels = out_features // groups, in_features
        options = {**options, "transpose_kernel": True}
    wanted = (*batch, *sizes, in_features), (*kernel_size, *channels), (out_features,)
    return normal(rng, wanted, dtype), options, rng


def normal(rng: np.random.Generator, shapes, dtype=np.float64) -> list[np.ndarray]:
    """Standard normal numbers, of both parts where the dtype is complex."""
    values = [rng.standard_normal(shape) for shape in shapes]
    if jnp.issubdtype(dtype, np.complexfloating):
        values = [value + 1j * rng.standard_normal(value.shape) for value in values]
    return [np.asarray(value, dtype) for value in values]
