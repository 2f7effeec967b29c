"""Pools that draw at random, as modules with a stream of keys of their own."""

from typing import Any

from flax import nnx
from jaxtyping import Array, Float, Num

from jaxcnn import functional, geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn.geometry import IntPerAxis, Padding


@named_module
class StochasticPool(nnx.Module):
    """Draws one element of each window by its share of the sum: `functional.stochastic_pool`.

    In evaluation (`model.eval()` or `nnx.view(model, deterministic=True)`) it gives the expected
    value instead, and draws nothing.

    Args:
      window_shape: taps of a window, a tuple with one int per spatial axis.
      strides: pixels between windows, per spatial axis; None means 1.
      padding: as in `WindowPool`.
      window_dilation: pixels between neighbouring taps.
      ceil_mode: whether a last window may hang over the end.
      deterministic: whether to give the expected value.
      rng_collection: name of the stream that keys come from.
      rngs: random streams; the module keeps a fork of the one named.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> pool = nn.StochasticPool((2, 2), 2, rngs=nnx.Rngs(dropout=0))
      >>> pool(jnp.ones((8, 28, 28, 6))).shape
      (8, 14, 14, 6)
    """

    def __init__(
        self,
        window_shape: tuple[int, ...],
        strides: IntPerAxis | None = None,
        padding: Padding = "VALID",
        *,
        window_dilation: IntPerAxis = 1,
        ceil_mode: bool = False,
        deterministic: bool = False,
        rng_collection: str = "dropout",
        rngs: nnx.Rngs,
    ):
        self.window_shape = geometry.axes_tuple("window_shape", window_shape)
        rank = len(self.window_shape)
        self.strides = checks.per_axis("strides", strides, rank)
        self.window_dilation = geometry.per_axis("window_dilation", window_dilation, rank)
        self.padding = checks.padding(
            padding, self.window_shape, self.window_dilation, fills=(), crop=False
        )
        self.ceil_mode = checks.flag("ceil_mode", ceil_mode)
        self.deterministic = checks.flag("deterministic", deterministic)
        self.rngs = _stream(rngs, rng_collection)

    def __call__(
        self, inputs: Float[Array, "*batch_and_spatial channels"]
    ) -> Float[Array, "*batch_and_out channels"]:
        """Pools `(*batch, *spatial, channels)` to `(*batch, *out, channels)`."""
        return functional.stochastic_pool(
            inputs,
            self.window_shape,
            self.strides,
            self.padding,
            window_dilation=self.window_dilation,
            ceil_mode=self.ceil_mode,
            key=None if self.deterministic else self.rngs(),
            deterministic=self.deterministic,
        )

    def set_view(self, deterministic: bool | None = None) -> None:
        """What `nnx.view` may set.

        Args:
          deterministic: whether to give the expected value.
        """
        if deterministic is not None:
            self.deterministic = deterministic


@named_module
class FractionalMaxPool(nnx.Module):
    """The largest of windows at random steps: `functional.fractional_max_pool`.

    It draws in evaluation too, as the paper does, which averages several passes there.

    Args:
      window_shape: taps of a window, a tuple with one int per spatial axis.
      output_shape: spatial sizes of the outputs, a tuple.
      rng_collection: name of the stream that keys come from.
      rngs: random streams; the module keeps a fork of the one named.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> pool = nn.FractionalMaxPool((2, 2), (20, 20), rngs=nnx.Rngs(dropout=0))
      >>> pool(jnp.ones((8, 28, 28, 6))).shape
      (8, 20, 20, 6)
    """

    def __init__(
        self,
        window_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
        *,
        rng_collection: str = "dropout",
        rngs: nnx.Rngs,
    ):
        self.window_shape = geometry.axes_tuple("window_shape", window_shape)
        self.output_shape = geometry.axes_tuple("output_shape", output_shape)
        if len(self.output_shape) != len(self.window_shape):
            raise ValueError(
                f"`output_shape` (={self.output_shape}) must have as many entries as "
                f"`window_shape` (={self.window_shape})"
            )
        self.rngs = _stream(rngs, rng_collection)

    def __call__(self, inputs: Num[Array, "*batch_and_spatial channels"]) -> Any:
        """Pools `(*batch, *spatial, channels)` to `(*batch, *output_shape, channels)`."""
        return functional.fractional_max_pool(
            inputs, self.window_shape, self.output_shape, key=self.rngs()
        )


@named_module
class FractionalMaxPoolWithIndices(FractionalMaxPool):
    """`FractionalMaxPool` that also says where: `functional.fractional_max_pool_with_indices`.

    Arguments: `FractionalMaxPool`.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> pool = nn.FractionalMaxPoolWithIndices((2, 2), (20, 20), rngs=nnx.Rngs(dropout=0))
      >>> [array.shape for array in pool(jnp.ones((8, 28, 28, 6)))]
      [(8, 20, 20, 6), (8, 20, 20, 6)]
    """

    def __call__(self, inputs: Num[Array, "*batch_and_spatial channels"]) -> Any:
        """Pools `(*batch, *spatial, channels)` and gives each maximum's flat position."""
        return functional.fractional_max_pool_with_indices(
            inputs, self.window_shape, self.output_shape, key=self.rngs()
        )


def _stream(rngs: Any, rng_collection: Any) -> Any:
    """A stream of keys for the module alone."""
    if not isinstance(rng_collection, str):
        raise TypeError(f"`rng_collection` (={rng_collection!r}) must be the name of a stream")
    checks.rngs(rngs, rng_collection)
    return rngs[rng_collection].fork()
