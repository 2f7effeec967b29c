"""What a network is looked at with: arrays, or shapes in their place."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn import geometry


def shapes_of(inputs: Sequence[Any]) -> tuple[Any, ...]:
    """The inputs, and a shape of float32 for each that is a tuple of ints.

    Raises:
      TypeError: one is neither, nor a dictionary of such, or there is none.
      ValueError: a size is below 1.
    """
    if not inputs or not all(map(_is_input, inputs)):
        told = ", ".join(
            repr(v) if isinstance(v, int | tuple | list) else type(v).__name__ for v in inputs
        )
        raise TypeError(
            "`inputs` must be arrays, jax.ShapeDtypeStruct or shapes with batch and channels, such "
            f"as (1, 224, 224, 3), or dictionaries of them; received {told or 'none'}; {_OTHERS}"
        )
    return tuple(_each(_shape, value) for value in inputs)


def arrays_of(inputs: Sequence[Any]) -> tuple[Any, ...]:
    """The inputs as arrays, and dictionaries of them as such.

    Raises:
      TypeError: one is no array, or there is none.
    """
    try:
        arrays = tuple(_each(jnp.asarray, value) for value in inputs)
    except TypeError:
        arrays = ()
    if not jax.tree.leaves(arrays):
        told = ", ".join(type(value).__name__ for value in inputs)
        raise TypeError(
            "`inputs` must be arrays, or dictionaries of them; received "
            f"{told or 'none'}; {_OTHERS}"
        )
    return arrays


_OTHERS = "other arguments are set by functools.partial(model, name=value)"


def refused(inputs: Sequence[Any], error: Exception) -> str:
    """What to say where the model does not take the inputs."""
    (first, *_) = jax.tree.leaves(inputs)
    size = first.shape[-1] if first.shape else 0
    return (
        f"{error}; `inputs` {first.shape} were read as batch {first.shape[:1]}, spatial axes "
        f"{first.shape[1:-1]} and {size} channels last"
    )


def _is_input(value: Any) -> bool:
    if _is_shape(value) or (hasattr(value, "shape") and hasattr(value, "dtype")):
        return True
    return isinstance(value, Mapping) and len(value) > 0 and all(map(_is_input, value.values()))


def _is_shape(value: Any) -> bool:
    numbers = isinstance(value, tuple | list) and all(type(size) is int for size in value)
    return numbers and len(value) > 0


def _each(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _each(function, inside) for name, inside in value.items()}
    return function(value)


def _shape(value: Any) -> Any:
    if hasattr(value, "shape"):
        return value
    sizes = geometry.axes_tuple("inputs", tuple(value))
    return jax.ShapeDtypeStruct(sizes, jnp.float32)
