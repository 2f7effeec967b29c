"""Runs a model without changing it: whoever looks at a model leaves it as it was."""

import copy
import functools
import inspect
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any, TypeVar

import jax
import numpy as np
from flax import linen, nnx
from flax.errors import ScopeCollectionNotFound, ScopeParamNotFoundError, TraceContextError

M = TypeVar("M", bound=nnx.Module)


def duplicate(model: M) -> M:
    """A copy in which nothing that changes is the model's own.

    Arrays of JAX are shared, for they don't change; variables, arrays of NumPy and containers among
    the attributes are new.
    """
    graph, state = nnx.split(model)
    state = jax.tree.map(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, state)
    twin = nnx.merge(graph, state, copy=True)
    for _, module in nnx.iter_modules(twin):
        attributes = vars(module)
        attributes.update({name: _fresh(value) for name, value in attributes.items()})
    return twin


def _fresh(value: Any) -> Any:
    """A container of Python's own with the same entries, anything else as it is."""
    if isinstance(value, dict):
        twin = copy.copy(value)
        twin.update({key: _fresh(entry) for key, entry in value.items()})
        return twin
    if isinstance(value, list | deque):
        twin = copy.copy(value)
        twin.clear()
        twin.extend(map(_fresh, value))
        return twin
    return copy.copy(value) if isinstance(value, set | bytearray) else value


def evaluating(model: M) -> M:
    """Such a copy in evaluation, without `remat`: a gradient by one image needs no room saved."""
    twin = duplicate(model)
    try:
        inspect.signature(twin.eval).bind()
    except TypeError:  # the model calls something else so
        nnx.Module.eval(twin)
    else:
        twin.eval()
    module: Any
    for _, module in nnx.iter_modules(twin):
        if getattr(module, "remat", None) is True:
            module.remat = False
    return twin


def pure(model: nnx.Module, method: str = "__call__") -> Callable[..., Any]:
    """The function that a copy computes, each time from the state that the copy has now."""
    graph, state = nnx.split(model)

    def run(*args: Any, **options: Any) -> Any:
        with with_variables("model", model):
            return getattr(nnx.merge(graph, state, copy=True), method)(*args, **options)

    return run


def opened(function: Any) -> tuple[nnx.Module, Callable[[Any], Any]] | None:
    """A module that can be called, and what gives a copy of it the arguments set beforehand.

    It is a module itself, or one within a `functools.partial`, whose arguments hold no other: they
    would be the caller's own. None for any other function.
    """
    if isinstance(function, nnx.Module) and callable(function):
        return function, lambda twin: twin
    if not isinstance(function, functools.partial) or not isinstance(function.func, nnx.Module):
        return None
    args, options = function.args, function.keywords
    held = jax.tree.leaves((args, options), is_leaf=lambda leaf: isinstance(leaf, nnx.Pytree))
    if any(isinstance(leaf, nnx.Pytree | nnx.Variable) for leaf in held):
        return None
    return function.func, lambda twin: functools.partial(twin, *args, **options)


@contextmanager
def with_variables(argument: str, model: Any = None) -> Iterator[None]:
    """Says what to do where a Linen module has no variables yet, or `model` lacks arguments."""
    try:
        yield
    except TypeError as error:
        call = getattr(type(model).__call__, "__qualname__", "")
        if not str(error).startswith(f"{call}() missing"):
            raise
        raise TypeError(
            f"{error}; for arguments besides the inputs write functools.partial({argument}, "
            "name=value)"
        ) from error
    except (ScopeCollectionNotFound, ScopeParamNotFoundError) as error:
        raise TypeError(
            f"`{argument}` holds a Linen module without its variables; give it some first, with "
            f"nnx.bridge.lazy_init(model, images): {error}"
        ) from error


def still(argument: str, function: Any) -> Callable[..., Any]:
    """What `function` computes, of a module its evaluating copy, without any change to a module.

    Which modules another function holds is unknown. It runs where Flax lets nobody write into a
    module made outside: as one element of a batch that nothing depends on.

    Args:
      argument: what it calls `function`.
      function: a module, with arguments set by `functools.partial` or not, a method of one, or any
        function.
    Raises:
      TypeError: `function` can't be called; or, once called, that it changes a module.
    """
    if not callable(function):
        raise TypeError(
            f"`{argument}` (={function!r}) must be a layer or a function, got "
            f"{type(function).__name__}"
        )
    found = opened(function)
    if found is not None:
        module, call = found
        return call(pure(evaluating(module)))
    if hasattr(function, "apply") and hasattr(function, "lazy_init"):
        raise TypeError(
            f"`{argument}` is a Linen module, {type(function).__name__}, without its variables; "
            "write functools.partial(model.apply, variables), or nnx.bridge.ToNNX(model, rngs=...)"
        )
    owner = getattr(function, "__self__", None)
    if isinstance(function, MethodType) and isinstance(owner, nnx.Module):
        return pure(evaluating(owner), function.__name__)
    alone = jax.vmap(function, in_axes=None, out_axes=None, axis_size=1)

    def run(*args: Any) -> Any:
        try:
            return alone(*args)
        except TraceContextError as error:
            raise TypeError(
                f"`{argument}` (={function!r}) must not change the module that it holds, "
                "as batch normalisation and dropout do in training; hand over the module itself, "
                "or call its eval() first"
            ) from error

    return run


def name_of(layer: Any) -> str:
    """The name of a module's class, or of a function."""
    if isinstance(layer, nnx.bridge.ToNNX):
        return type(layer.to_nnx__module).__name__
    if isinstance(layer, nnx.Module):
        return type(layer).__name__
    inner = getattr(layer, "func", layer)  # of functools.partial
    if isinstance(inner, nnx.Module):
        return name_of(inner)
    owner = getattr(inner, "__self__", None)
    if isinstance(owner, linen.Module):  # `apply` of one
        return type(owner).__name__
    return getattr(inner, "__name__", type(inner).__name__)
