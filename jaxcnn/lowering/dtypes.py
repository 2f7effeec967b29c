"""In what dtype sums are accumulated, those of gradients included."""

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


def spread(values: Shaped[Array, "..."], outputs: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """Gives `values`, such as a bias, which have the last axes of `outputs`, all of its axes.

    Those of 16 bits are repeated in float32 first: the transpose of that is a sum over all pixels
    and images, the gradient of a bias. In bfloat16 that of 4096 ones was 1024.
    """
    reshaped = values.reshape((1,) * (outputs.ndim - values.ndim) + values.shape)
    wide = widen(reshaped)
    if wide.dtype == values.dtype:
        return reshaped
    return jnp.broadcast_to(wide, outputs.shape).astype(values.dtype)
