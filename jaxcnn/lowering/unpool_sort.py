"""Values put back at any places at all, by sorting them by their places.

Among the sorted indices of an image and channel the last that equals u, found by bisection, is that
of the value which stays at pixel u. So the result is a gather. Its tangent is stated: the values
that stay, put at places that are all different, which JAX transposes into a gather. Neither the
value nor the gradient scatters anything, whatever the indices.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Integer, Num

from jaxcnn.geometry import Windows
from jaxcnn.lowering.unpool_scatter import flattened, grid, in_range, pixels, put


def place(
    values: Num[Array, "n *out channels"],
    indices: Integer[Array, "n *out channels"],
    windows: Windows,
) -> Num[Array, "n *spatial channels"]:
    """As `unpool_scatter.place`; for sizes that are known."""
    return _differentiable(values, indices, windows)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _differentiable(values: Array, indices: Array, windows: Windows) -> Array:
    last = _last(in_range(flattened(indices), windows), pixels(windows))
    found = _looked_up(flattened(values), jnp.maximum(last, 0))
    placed = jnp.where(last >= 0, found, jnp.zeros((), found.dtype))
    return placed.reshape((values.shape[0], *windows.sizes, values.shape[-1]))


@_differentiable.defjvp
def _tangent(windows: Windows, primals, tangents) -> tuple[Array, Array]:
    values, indices = primals
    flat, size = in_range(flattened(indices), windows), pixels(windows)
    named = _looked_up(_last(flat, size), jnp.minimum(flat, size - 1))
    stays = (flat < size) & (named == grid(flat)[1])
    return _differentiable(values, indices, windows), put(tangents[0], flat, stays, windows)


def _last(flat: Integer[Array, "n m channels"], size: int) -> Integer[Array, "n size channels"]:
    """For each pixel the position of the last index that names it, or -1."""
    flat = jnp.swapaxes(flat, 1, 2)
    order = lax.broadcasted_iota(jnp.int32, flat.shape, 2)
    ordered, order = lax.sort((flat, order), dimension=2, num_keys=1, is_stable=True)
    here = lax.iota(jnp.int32, size)
    upto = functools.partial(jnp.searchsorted, side="right")
    after = jax.vmap(jax.vmap(upto, (0, None)), (0, None))(ordered, here)
    at = jnp.maximum(after - 1, 0).astype(jnp.int32)
    found = jnp.take_along_axis(ordered, at, 2, mode="clip") == here[None, None]
    who = jnp.take_along_axis(order, at, 2, mode="clip")
    return jnp.swapaxes(jnp.where(found & (after > 0), who, -1), 1, 2)


def _looked_up(array: Array, places: Array) -> Array:
    return jnp.take_along_axis(array, places, 1, mode="clip")
