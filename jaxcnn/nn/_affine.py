"""The matrix and the constant of a function that is linear but for a constant."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array


def affine(
    function: Callable[..., Any], input_shape: tuple[int, ...], dtype: DTypeLike
) -> tuple[Array, Array]:
    """Returns A `(outputs, inputs)` and b, shaped as the outputs: function(x) = A x + b.

    Column i is what the function makes of the array that is 1 at i and 0 elsewhere, less what it
    makes of zeros; all at once, as a batch.
    """
    size = math.prod(input_shape)
    constant = function(jnp.zeros((1, *input_shape), dtype))
    columns = function(jnp.eye(size, dtype=dtype).reshape(size, *input_shape))
    return (columns - constant).reshape(size, -1).T, constant[0]
