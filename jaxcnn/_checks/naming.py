"""Says in an error which function or module it was that refused its arguments."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
M = TypeVar("M", bound=type)
KINDS = (FileExistsError, FileNotFoundError, ImportError, OSError, TypeError, ValueError)


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Puts `name` before the message of an error that is raised within, unless it bears one.

    The innermost name counts: what a network's layer refuses, the layer refuses.
    """
    try:
        yield
    except KINDS as error:
        put_before(name, error)
        raise


def put_before(name: str, error: Exception) -> None:
    """Makes an error's message begin with `name`, unless it has one before it already."""
    # not of the kinds that JAX and others derive from these, which say themselves what they are
    if type(error) in KINDS and len(error.args) == 1 and not hasattr(error, "named"):
        error.args = (f"{name}: {error}",)
        if isinstance(error, ImportError):
            error.msg = error.args[0]  # which is what it shows
        error.named = True  # pyright: ignore[reportAttributeAccessIssue]


def named(function: F) -> F:
    """Makes a function's errors begin with its name."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with naming(function.__name__):
            return function(*args, **kwargs)

    return call  # pyright: ignore[reportReturnType]


def named_module(module: M) -> M:
    """Makes the errors of a module's constructor, call and public methods begin with its name.

    That is the name of the object's class: a subclass of one's own goes by its own.
    """

    def in_its_name(method: F) -> F:
        @functools.wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            with naming(type(self).__name__):
                return method(self, *args, **kwargs)

        return call  # pyright: ignore[reportReturnType]

    for name, method in list(vars(module).items()):
        if inspect.isfunction(method) and (name in ("__init__", "__call__") or name[0] != "_"):
            setattr(module, name, in_its_name(method))
    return module
