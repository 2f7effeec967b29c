"""Max pooling that returns where its maxima lay, and unpooling, as modules."""

from flax import nnx
from jaxtyping import Array, Int32, Integer, Num

from jaxcnn import functional, geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.nn.pool import WindowPool


@named_module
class MaxPoolWithIndices(WindowPool):
    """`MaxPool` that also says where: `functional.max_pool_with_indices`.

    Arguments: `WindowPool`, without `algorithm`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> outputs, indices = nn.MaxPoolWithIndices((2, 2), 2)(jnp.ones((8, 28, 28, 6)))
      >>> outputs.shape, indices.dtype
      ((8, 14, 14, 6), dtype('int32'))
    """

    _algorithms = ()

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial channels"]
    ) -> tuple[Num[Array, "*batch_and_out channels"], Int32[Array, "*batch_and_out channels"]]:
        """Pools `(*batch, *spatial, channels)` and gives each maximum's flat position."""
        options = self._options()
        del options["algorithm"]
        return functional.max_pool_with_indices(inputs, **options)


@named_module
class MaxUnpool(nnx.Module):
    """Puts every element where its maximum was, zeros elsewhere: `functional.max_unpool`.

    Args:
      window_shape: taps of a window, as in the pool.
      strides: pixels between windows, as in the pool; None means 1.
      padding: as in the pool.
      window_dilation: as in the pool.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> outputs, indices = nn.MaxPoolWithIndices((2,), 2)(jnp.array([[1.0], [3.0], [5.0], [2.0]]))
      >>> nn.MaxUnpool((2,), 2)(outputs, indices).ravel()
      Array([0., 3., 5., 0.], dtype=float32)
    """

    def __init__(
        self,
        window_shape: tuple[int, ...],
        strides: IntPerAxis | None = None,
        padding: Padding = "VALID",
        *,
        window_dilation: IntPerAxis = 1,
    ):
        self.window_shape = geometry.axes_tuple("window_shape", window_shape)
        rank = len(self.window_shape)
        self.strides = checks.per_axis("strides", strides, rank)
        self.window_dilation = geometry.per_axis("window_dilation", window_dilation, rank)
        self.padding = checks.padding(
            padding, self.window_shape, self.window_dilation, fills=(), crop=False
        )

    def __call__(
        self,
        inputs: Num[Array, "*batch_and_out channels"],
        indices: Integer[Array, "*batch_and_out channels"],
        output_shape: tuple[int, ...] | None = None,
    ) -> Num[Array, "*batch_and_spatial channels"]:
        """Takes `(*batch, *out, channels)` back to `(*batch, *spatial, channels)`.

        Args:
          inputs: what the pool gave, or as many other elements.
          indices: the positions that the pool gave.
          output_shape: spatial sizes of the pool's inputs; None means the smallest that fit.
        """
        return functional.max_unpool(
            inputs,
            indices,
            self.window_shape,
            self.strides,
            self.padding,
            window_dilation=self.window_dilation,
            output_shape=output_shape,
        )
