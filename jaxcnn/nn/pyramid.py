"""Spatial pyramid pooling as a module."""

from collections.abc import Sequence

from flax import nnx
from jaxtyping import Array, Num

from jaxcnn import functional, geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module


@named_module
class SpatialPyramidPool(nnx.Module):
    """Pools to grids of several sizes and joins them: `functional.spatial_pyramid_pool`.

    Args:
      levels: the grids' sizes, a tuple with one int per spatial axis for each.
      reducer: "max" or "avg".
    Raises:
      ValueError: no level, or an unknown reducer.
      TypeError: a level is no tuple of ints.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> nn.SpatialPyramidPool([(4, 4), (2, 2), (1, 1)])(jnp.ones((8, 13, 15, 6))).shape
      (8, 126)
    """

    def __init__(self, levels: Sequence[tuple[int, ...]], *, reducer: str = "max"):
        if not isinstance(levels, Sequence) or isinstance(levels, str):
            raise TypeError(f"`levels` (={levels!r}) must be a tuple of tuples of ints")
        if not levels:
            raise ValueError(f"`levels` (={levels!r}) must name at least one grid")
        self.levels = tuple(geometry.axes_tuple("levels", level) for level in levels)
        self.reducer = checks.choice("reducer", reducer, ("max", "avg"))

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial channels"]
    ) -> Num[Array, "*batch features"]:
        """Pools `(*batch, *spatial, channels)` to one vector per image."""
        return functional.spatial_pyramid_pool(inputs, self.levels, reducer=self.reducer)
