"""What follows from a dtype: where its sums are accumulated, and what changes no result in it."""

import math

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Shaped


def sum_dtype(dtype: jnp.dtype) -> jnp.dtype:
    """The dtype that sums of `dtype` are accumulated in: float32 for narrower floats, else itself.

    A bfloat16 sum of ones stops at 256; in float32 it goes on to 16,777,216.
    """
    narrow = jnp.issubdtype(dtype, jnp.floating) and jnp.dtype(dtype).itemsize < 4
    return jnp.dtype(jnp.float32) if narrow else jnp.dtype(dtype)


def widen(values: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """Casts to the dtype that sums are accumulated in, which changes no value."""
    return values.astype(sum_dtype(values.dtype))


def extreme(dtype: DTypeLike, lowest: bool) -> np.ndarray:
    """The value that none of `dtype` is below, or above: the neutral element of its maxima, minima.

    It is an infinity, or the largest finite number where there is none: in integers, and in floats
    of 8 bits and less such as float8_e4m3fn, for which NumPy makes a NaN of an infinity.
    """
    dtype = jnp.dtype(dtype)
    if dtype == jnp.bool_:
        return np.array(not lowest)
    if jnp.issubdtype(dtype, jnp.integer):
        limits = jnp.iinfo(dtype)
        return np.array(limits.min if lowest else limits.max, dtype)
    infinity = np.array(-math.inf if lowest else math.inf, dtype)
    if np.isinf(infinity.astype(np.float64)):
        return infinity
    limits = jnp.finfo(dtype)
    return np.array(limits.min if lowest else limits.max, dtype)


def on_all_axes(
    values: Shaped[Array, "..."], outputs: Shaped[Array, "..."]
) -> Shaped[Array, "..."]:
    """Gives `values`, such as a bias, which have the last axes of `outputs`, all of its axes.

    Those of 16 bits are repeated in float32 first: the transpose of that is a sum over all pixels
    and images, the gradient of a bias. In bfloat16 that of 4096 ones was 1024.
    """
    reshaped = values.reshape((1,) * (outputs.ndim - values.ndim) + values.shape)
    wide = widen(reshaped)
    if wide.dtype == values.dtype:
        return reshaped
    return jnp.broadcast_to(wide, outputs.shape).astype(values.dtype)
