"""Where random pools get their numbers from: the caller, or a key."""

import contextlib
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, UInt32

from jaxcnn._checks import dtypes
from jaxcnn.lowering.problem import Typed

PRNGKey = Key[Array, ""] | UInt32[Array, "_"]


def drawn(
    shape: tuple[int, ...], samples: Any, key: object, inputs: Typed
) -> tuple[tuple[int, ...], Any] | None:
    """Shape and dtype of the numbers in [0, 1) to draw; None where `samples` holds them.

    They are at least float32, and float64 for inputs of that.

    Raises:
      ValueError: both or neither given, another shape, or a sample outside [0, 1) in an array of
        NumPy. What is on a device is not looked at, for that would wait for it.
      TypeError: samples that are no floats.
    """
    if (samples is None) == (key is None):
        given = "neither" if samples is None else "both"
        raise ValueError(f"exactly one of `samples` and `key` must be given, got {given}")
    if samples is None:
        return shape, jnp.dtype(jnp.float64 if inputs.dtype == jnp.float64 else jnp.float32)
    dtypes.floating("samples", samples)
    if samples.shape != shape:
        raise ValueError(f"`samples` must be {shape}; received samples {samples.shape}")
    numbers = samples.numbers
    if numbers is not None and not ((numbers >= 0) & (numbers < 1)).all():
        raise ValueError(f"`samples` must lie in [0, 1), got {numbers.min()} to {numbers.max()}")
    return None


def one_key(argument: str, key: Any, _: object) -> Array:
    """Returns `key` if it is one PRNG key, new style or old."""
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if typed and shape == ():
        return key
    if dtype == jnp.uint32 and shape is not None and len(shape) == 1 and not typed:
        with contextlib.suppress(TypeError):  # the number of words depends on the generator
            return jax.random.wrap_key_data(jnp.asarray(key))
    received = type(key).__name__ if dtype is None else f"{dtype} of shape {shape}"
    raise TypeError(f"`{argument}` must be one PRNG key, as jax.random.key gives; got {received}")
