"""Pools to a given size, whatever the size of the inputs, as modules."""

from flax import nnx
from jaxtyping import Array, Inexact, Int32, Num

from jaxcnn import functional, geometry
from jaxcnn._checks.naming import named_module


@named_module
class AdaptivePool(nnx.Module):
    """What the adaptive pools have in common: the size they give.

    Args:
      output_shape: spatial sizes of the outputs, a tuple; an entry None keeps that axis.
    Raises:
      ValueError: a size below one.
      TypeError: no tuple, or an entry that is no int.
    """

    def __init__(self, output_shape: tuple[int | None, ...]):
        sizes = geometry.axes_tuple("output_shape", output_shape, allow_none=True)
        self.output_shape = tuple(None if size < 0 else size for size in sizes)


@named_module
class AdaptiveAvgPool(AdaptivePool):
    """Averages windows that divide the inputs evenly: `functional.adaptive_avg_pool`.

    Arguments: `AdaptivePool`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> nn.AdaptiveAvgPool((7, 7))(jnp.ones((8, 13, 15, 6))).shape
      (8, 7, 7, 6)
    """

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial channels"]
    ) -> Inexact[Array, "*batch_and_out channels"]:
        """Pools `(*batch, *spatial, channels)` to `(*batch, *output_shape, channels)`."""
        return functional.adaptive_avg_pool(inputs, self.output_shape)


@named_module
class AdaptiveMaxPool(AdaptivePool):
    """The largest of windows that divide the inputs evenly: `functional.adaptive_max_pool`.

    Arguments: `AdaptivePool`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> nn.AdaptiveMaxPool((None, 4))(jnp.ones((8, 13, 15, 6))).shape
      (8, 13, 4, 6)
    """

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial channels"]
    ) -> Num[Array, "*batch_and_out channels"]:
        """Pools `(*batch, *spatial, channels)` to `(*batch, *output_shape, channels)`."""
        return functional.adaptive_max_pool(inputs, self.output_shape)


@named_module
class AdaptiveMaxPoolWithIndices(AdaptivePool):
    """`AdaptiveMaxPool` that also says where: `functional.adaptive_max_pool_with_indices`.

    Arguments: `AdaptivePool`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> outputs, indices = nn.AdaptiveMaxPoolWithIndices((2,))(jnp.arange(5.0)[:, None])
      >>> outputs.ravel(), indices.ravel()
      (Array([2., 4.], dtype=float32), Array([2, 4], dtype=int32))
    """

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial channels"]
    ) -> tuple[Num[Array, "*batch_and_out channels"], Int32[Array, "*batch_and_out channels"]]:
        """Pools `(*batch, *spatial, channels)` and gives each maximum's flat position."""
        return functional.adaptive_max_pool_with_indices(inputs, self.output_shape)
