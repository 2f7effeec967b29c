"""Values put back at the places they came from, without two ever meeting.

Adding into places that may coincide depends on the order on a GPU. So the winner of each place is
found first, as the largest position that names it, and a maximum of integers does not depend on
the order. The losers are then sent out of range, each to a place of its own, and dropped: all
places are different, and the transpose, a gather, gives the gradient to the winners alone.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Integer, Num

from jaxcnn.geometry import Size, Windows
from jaxcnn.lowering.problem import Typed


@functools.partial(jax.jit, static_argnums=2)
def place(
    values: Num[Array, "n *out channels"],
    indices: Integer[Array, "n *out channels"],
    windows: Windows,
) -> Num[Array, "n *spatial channels"]:
    """Puts values[n, i, c] at [n, indices[n, i, c], c], zeros elsewhere.

    Of equal indices, of 32 bits or more, the last stays; those out of range are dropped.
    """
    flat, size = in_range(flattened(indices), windows), pixels(windows)
    batch, order, channel = grid(flat)
    last = jnp.full((flat.shape[0], size, flat.shape[-1]), -1, jnp.int32)
    last = last.at[batch, flat, channel].max(order, mode="drop")
    named = last.at[batch, flat, channel].get(mode="fill", fill_value=-1)
    return put(values, flat, named == order, windows)


def put(
    values: Num[Array, "n *out channels"],
    flat: Integer[Array, "n places channels"],
    stays: Bool[Array, "n places channels"],
    windows: Windows,
) -> Num[Array, "n *spatial channels"]:
    """Puts those values that stay, of which no two have the same index."""
    batch, order, channel = grid(flat)
    size = pixels(windows)
    flat = jnp.where(stays, flat, size + order)
    zeros = jnp.zeros((flat.shape[0], size, flat.shape[-1]), values.dtype)
    placed = zeros.at[batch, flat, channel].add(flattened(values), mode="drop", unique_indices=True)
    return placed.reshape((flat.shape[0], *windows.sizes, flat.shape[-1]))


def in_range(indices: Array, windows: Windows) -> Array:
    """The indices as int32, those out of range as the first one beyond the last."""
    size = pixels(windows)
    outside = (indices < 0) | (indices >= size)
    return jnp.where(outside, size, indices.astype(jnp.int32))


def grid(flat: Array) -> tuple[Array, Array, Array]:
    """The image, the position and the channel of each element."""
    batch, order, channel = (lax.broadcasted_iota(jnp.int32, flat.shape, i) for i in range(3))
    return batch, order, channel


def flattened(array: Array) -> Array:
    """All spatial axes as one."""
    return array.reshape((array.shape[0], math.prod(array.shape[1:-1]), array.shape[-1]))


def pixels(windows: Windows) -> Size:
    """How many pixels the result has in each image and channel."""
    return math.prod(windows.sizes)


def unpooled_type(values: Typed, windows: Windows) -> list[jax.ShapeDtypeStruct]:
    """Shape and dtype of the result."""
    shape = (values.shape[0], *windows.sizes, values.shape[-1])
    return [jax.ShapeDtypeStruct(shape, values.dtype)]
