"""Elements along an axis at positions known before tracing, with a gradient free of collisions."""

import collections
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Shaped


def take_in_order(
    values: Shaped[Array, "..."], indices: Sequence[int], axis: int
) -> Shaped[Array, "..."]:
    """Returns values[indices] along `axis`; the indices must not descend.

    Equally spaced ones are a slice. Otherwise it is a gather of indices that are all different, for
    its transpose adds into each place at most once and so does not depend on the order of adding:
    where an index comes r times, the axis is repeated r times first, and the transpose of that is a
    plain sum.
    """
    steps = set(np.diff(indices).tolist())
    if not steps or (len(steps) == 1 and 0 not in steps):
        return lax.slice_in_dim(values, indices[0], indices[-1] + 1, max(steps, default=1), axis)
    copies = max(collections.Counter(indices).values())
    if copies > 1:
        # What stands c places after the first of its kind is copy number c.
        _, firsts, which = np.unique(indices, return_index=True, return_inverse=True)
        where_copied = np.asarray(indices) * copies + np.arange(len(indices)) - firsts[which]
        indices = where_copied.tolist()
        shape = list(values.shape)
        wide = (*shape[: axis + 1], copies, *shape[axis + 1 :])
        values = jnp.broadcast_to(jnp.expand_dims(values, axis + 1), wide)
        shape[axis] *= copies
        values = values.reshape(shape)
    where = (*(slice(None),) * axis, np.array(indices))
    taken = values.at[where].get(
        indices_are_sorted=True, unique_indices=True, mode="promise_in_bounds"
    )
    # For the transpose: a scatter that computes its updates itself was 8 times as slow on a CPU.
    return lax.optimization_barrier(taken)
