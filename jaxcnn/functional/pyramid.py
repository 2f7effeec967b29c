"""Spatial pyramid pooling: a vector of one length from images of any size."""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxcnn import geometry
from jaxcnn._checks import arrays, dtypes, options
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.lowering import choose

_REDUCERS = {
    "max": (dtypes.comparable, choose.adaptive_max_pool),
    "avg": (dtypes.averageable, choose.adaptive_avg_pool),
}


@planned("inputs")
def spatial_pyramid_pool(
    inputs: Num[Array, "*batch_and_spatial channels"],
    levels: Sequence[tuple[int, ...]],
    *,
    reducer: str = "max",
) -> Num[Array, "*batch features"]:
    """Pools into several grids of bins, coarse and fine, and concatenates all bins into a vector.

        out = concat(flatten(adaptive_pool(x, level)) for level in levels)

    Bin i of m along an axis of n pixels runs from floor(i n / m) to ceil((i + 1) n / m), so that
    the length of the vector does not depend on the image's size, and a dense layer can follow. Ties
    and NaN are as in the adaptive pool that `reducer` names.

    Args:
      inputs: `(*batch, *spatial, channels)`, any number of batch axes, none included.
      levels: numbers of bins, for each level a tuple with one int per spatial axis, such as
        `((1, 1), (2, 2), (4, 4))`.
      reducer: "max" or "avg".
    Returns:
      `(*batch, features)`, features = channels * sum over levels of prod(bins): the levels in
      their order, in each the bins in row-major order, in each bin the channels.
    Raises:
      ValueError: no level, levels of unequal rank, a number of bins below 1, too few axes, an empty
        spatial or channel axis, or an unknown reducer.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> levels = ((1, 1), (2, 2), (4, 4))
      >>> [F.spatial_pyramid_pool(jnp.ones((8, n, n + 2, 3)), levels).shape for n in (13, 20)]
      [(8, 63), (8, 63)]

    References:
      K. He, X. Zhang, S. Ren and J. Sun, Spatial pyramid pooling in deep convolutional networks for
      visual recognition, 2014.
    """
    checked, _ = _REDUCERS[options.choice("reducer", reducer, tuple(_REDUCERS))]
    if not isinstance(levels, Sequence) or isinstance(levels, str):
        raise TypeError(
            f"`levels` (={levels!r}) must be a tuple of tuples of ints, one tuple for "
            "each level; for one level of 2x2 bins write ((2, 2),)"
        )
    grids = tuple(geometry.axes_tuple("levels", level) for level in levels)
    ranks = {len(grid) for grid in grids}
    if len(ranks) != 1:
        raise ValueError(
            f"`levels` (={levels}) must hold at least one level, and each the same "
            "number of ints, one per spatial axis"
        )
    rank = ranks.pop()
    batch, sizes, _ = arrays.spatial_batch(
        inputs, rank, because=f"the levels {grids} have {rank} entries each"
    )
    arrays.filled_axes(inputs, sizes)
    for grid in grids:
        arrays.even_or_known(inputs, sizes, grid)
    return to_run(
        _bins, batch=len(batch), by_rows=False, grids=grids, reducer=reducer, dtype=checked(inputs)
    )


def _bins(inputs: Array, *, grids: tuple[tuple[int, ...], ...], reducer: str, dtype: Any) -> Array:
    """The bins of all levels side by side."""
    _, pool = _REDUCERS[reducer]
    images, *_, channels = inputs.shape
    bins = [
        pool(inputs.astype(dtype), grid).reshape((images, math.prod(grid) * channels))
        for grid in grids
    ]
    return jnp.concatenate(bins, axis=-1)
