"""What a network is looked at with: arrays, or shapes in their place."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn import geometry


def shapes_of(inputs: Sequence[Any]) -> tuple[Any, ...]:
    """The inputs, and a shape of float32 for each that is a tuple of ints.

    Raises:
      TypeError: one is neither, or there is none.
      ValueError: a size is below 1.
    """
    if not inputs or not all(_is_input(value) for value in inputs):
        told = ", ".join(
            repr(v) if isinstance(v, int | tuple | list) else type(v).__name__ for v in inputs
        )
        raise TypeError(
            "`inputs` must be arrays, jax.ShapeDtypeStruct or shapes with batch and channels, such "
            f"as (1, 224, 224, 3); received {told or 'none'}"
        )
    return tuple(map(_shape, inputs))


def refused(inputs: Sequence[Any], error: Exception) -> str:
    """What to say where the model does not take the inputs."""
    (first, *_) = inputs
    size = first.shape[-1] if first.shape else 0
    return (
        f"{error}; `inputs` {first.shape} were read as batch {first.shape[:1]}, spatial axes "
        f"{first.shape[1:-1]} and {size} channels last"
    )


def _is_input(value: Any) -> bool:
    numbers = isinstance(value, tuple | list) and all(type(size) is int for size in value)
    return (numbers and len(value) > 0) or (hasattr(value, "shape") and hasattr(value, "dtype"))


def _shape(value: Any) -> Any:
    if hasattr(value, "shape"):
        return value
    sizes = geometry.axes_tuple("inputs", tuple(value))
    return jax.ShapeDtypeStruct(sizes, jnp.float32)
