"""In what dtype sums are accumulated."""

import jax.numpy as jnp
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
