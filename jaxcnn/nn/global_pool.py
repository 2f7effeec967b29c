"""Pools of whole images as modules."""

from collections.abc import Sequence

from flax import nnx
from jaxtyping import Array, Inexact, Num

from jaxcnn import functional, geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module


@named_module
class GlobalPool(nnx.Module):
    """What the global pools have in common: the axes they gather.

    Args:
      spatial_axes: an axis or a tuple of them, counted from the end if negative; None means every
        axis between the first and the last.
      keepdims: whether the axes stay, with size 1.
    Raises:
      TypeError: an option is of the wrong type.
    """

    def __init__(
        self, *, spatial_axes: int | tuple[int, ...] | None = None, keepdims: bool = False
    ):
        if spatial_axes is not None and not isinstance(spatial_axes, int):
            if not isinstance(spatial_axes, Sequence) or isinstance(spatial_axes, str):
                raise TypeError(
                    f"`spatial_axes` (={spatial_axes!r}) must be an int, a tuple of ints or None"
                )
            spatial_axes = tuple(
                geometry.whole_number("spatial_axes", axis) for axis in spatial_axes
            )
        elif spatial_axes is not None:
            spatial_axes = geometry.whole_number("spatial_axes", spatial_axes)
        self.spatial_axes = spatial_axes
        self.keepdims = checks.flag("keepdims", keepdims)


@named_module
class GlobalAvgPool(GlobalPool):
    """Averages each channel: `functional.global_avg_pool`.

    Arguments: `GlobalPool`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> nn.GlobalAvgPool()(jnp.ones((8, 7, 7, 512))).shape
      (8, 512)
    """

    def __call__(self, inputs: Num[Array, "*axes"]) -> Inexact[Array, "*remaining"]:
        """Pools `(batch, *spatial, channels)` to `(batch, channels)`."""
        return functional.global_avg_pool(
            inputs, spatial_axes=self.spatial_axes, keepdims=self.keepdims
        )


@named_module
class GlobalMaxPool(GlobalPool):
    """The largest element of each channel: `functional.global_max_pool`.

    Arguments: `GlobalPool`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> nn.GlobalMaxPool(spatial_axes=(-3, -2), keepdims=True)(jnp.ones((7, 7, 512))).shape
      (1, 1, 512)
    """

    def __call__(self, inputs: Num[Array, "*axes"]) -> Num[Array, "*remaining"]:
        """Pools `(batch, *spatial, channels)` to `(batch, channels)`."""
        return functional.global_max_pool(
            inputs, spatial_axes=self.spatial_axes, keepdims=self.keepdims
        )
