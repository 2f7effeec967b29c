"""Where random pools get their numbers from: the caller, or a key."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcnn.functional import _arguments, _dtypes
from jaxcnn.lowering.dtypes import widen


def uniform(
    function: str, shape: tuple[int, ...], samples: object, key: object, dtype: DTypeLike
) -> Float[Array, "..."]:
    """Returns numbers in [0, 1), at least float32: `samples`, or drawn with `key`.

    Args:
      function: the caller's name, for messages.
      shape: what `samples` must have.
      samples: the numbers, or None.
      key: a PRNG key, or None.
      dtype: of the pool's inputs; float64 asks for samples as fine.
    Raises:
      ValueError: both or neither given, another shape, or a sample outside [0, 1) in an array of
        NumPy. What is on a device is not looked at, for that would wait for it.
      TypeError: samples that are no floats, or a key that is none.
    """
    if (samples is None) == (key is None):
        given = "neither" if samples is None else "both"
        raise ValueError(
            f"{function}: exactly one of `samples` and `key` must be given, got {given}"
        )
    if key is not None:
        fine = jnp.float64 if dtype == jnp.float64 else jnp.float32
        return _drawn(_checked_key(function, key), shape, fine)
    values = _dtypes.floating(function, "samples", _arguments.array(function, "samples", samples))
    if values.shape != shape:
        raise ValueError(f"{function}: `samples` must be {shape}; received samples {values.shape}")
    if isinstance(samples, np.ndarray) and not ((samples >= 0) & (samples < 1)).all():
        raise ValueError(
            f"{function}: `samples` must lie in [0, 1), got {samples.min()} to {samples.max()}"
        )
    return lax.stop_gradient(widen(values))


@functools.partial(jax.jit, static_argnums=(1, 2))
def _drawn(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "..."]:
    """As one program, whose limits of 0 and 1 need not be sent to the device."""
    return jax.random.uniform(key, shape, dtype)


def _checked_key(function: str, key: object) -> Array:
    """Returns `key` if it is one PRNG key, new style or old."""
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if typed and shape == ():
        return key  # type: ignore[return-value]
    if dtype == jnp.uint32 and shape is not None and len(shape) == 1 and not typed:
        with contextlib.suppress(TypeError):  # the number of words depends on the generator
            return jax.random.wrap_key_data(jnp.asarray(key))
    received = type(key).__name__ if dtype is None else f"{dtype} of shape {shape}"
    raise TypeError(
        f"{function}: `key` must be one PRNG key, as jax.random.key gives; got {received}"
    )
