"""The matrix and the constant of a function that is linear but for a constant."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array


def affine(
    function: Callable[..., Any], input_shape: tuple[int, ...], dtype: DTypeLike
) -> tuple[Array, Array]:
    """Returns A `(outputs, inputs)` and b, shaped as the outputs: function(x) = A x + b.

    Column i is what the function makes of the array that is 1 at i and 0 elsewhere, less what it
    makes of zeros; all at once, as a batch whose first is the zeros.
    """
    size = math.prod(input_shape)
    probes = np.eye(size + 1, size, -1, np.dtype(dtype)).reshape(size + 1, *input_shape)
    return _parts(function(jax.device_put(probes)))


@jax.jit
def _parts(outputs: Array) -> tuple[Array, Array]:
    constant, columns = outputs[:1], outputs[1:]
    return (columns - constant).reshape(len(columns), -1).T, constant[0]
