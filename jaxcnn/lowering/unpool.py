"""Values put back at the places they came from, without two ever meeting.

Adding into places that may coincide depends on the order on a GPU. So the winner of each place is
found first, as the largest position that names it, and a maximum of integers does not depend on
the order. The losers are then sent out of range, each to a place of its own, and dropped: all
places are different, and the transpose, a gather, gives the gradient to the winners alone.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Integer, Num

from jaxcnn.geometry import Size


@functools.partial(jax.jit, static_argnums=2)
def place(
    values: Num[Array, "n m channels"], indices: Integer[Array, "n m channels"], size: Size
) -> Num[Array, "n size channels"]:
    """Puts values[n, i, c] at [n, indices[n, i, c], c], zeros elsewhere.

    Where several have the same index the last stays. One out of range is dropped.
    """
    n, count, channels = values.shape
    batch = lax.broadcasted_iota(jnp.int32, values.shape, 0)
    order = lax.broadcasted_iota(jnp.int32, values.shape, 1)
    channel = lax.broadcasted_iota(jnp.int32, values.shape, 2)
    if indices.dtype.itemsize < 4:
        indices = indices.astype(jnp.int32)  # 8 bits would not hold `size`
    outside = (indices < 0) | (indices >= size)
    indices = jnp.where(outside, size, indices.astype(jnp.int32))
    last = jnp.full((n, size, channels), -1, jnp.int32)
    last = last.at[batch, indices, channel].max(order, mode="drop")
    named = last.at[batch, indices, channel].get(mode="fill", fill_value=-1)
    indices = jnp.where(named == order, indices, size + order)
    zeros = jnp.zeros((n, size, channels), values.dtype)
    return zeros.at[batch, indices, channel].add(values, mode="drop", unique_indices=True)
