"""Smooth maxima of windows as modules."""

from typing import Any

from jaxtyping import Array, Float, Num

from jaxcnn import functional
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.nn.pool import WindowPool


@named_module
class LogSumExpPool(WindowPool):
    """The logarithm of the sum of the exponentials of a window: `functional.logsumexp_pool`.

    Arguments: `WindowPool`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> nn.LogSumExpPool((2, 2), 2)(jnp.ones((8, 28, 28, 6))).shape
      (8, 14, 14, 6)
    """

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial channels"]
    ) -> Float[Array, "*batch_and_out channels"]:
        """Pools `(*batch, *spatial, channels)` to `(*batch, *out, channels)`."""
        return functional.logsumexp_pool(inputs, **self._options())


@named_module
class LpPool(WindowPool):
    """The p-norm of each window, per channel: `functional.lp_pool`.

    Args:
      norm_order: p, above 0; `math.inf` for the largest magnitude.
      window_shape: as in `WindowPool`.
      strides: as in `WindowPool`.
      padding: as in `WindowPool`.
      **options: the rest of `WindowPool`'s.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> nn.LpPool(2, (2,))(jnp.array([[3.0], [-4.0]])).item()
      5.0
    """

    def __init__(
        self,
        norm_order: float,
        window_shape: tuple[int, ...],
        strides: IntPerAxis | None = None,
        padding: Padding = "VALID",
        **options: Any,
    ):
        self.norm_order = checks.norm_order(norm_order)
        super().__init__(window_shape, strides, padding, **options)

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial channels"]
    ) -> Float[Array, "*batch_and_out channels"]:
        """Pools `(*batch, *spatial, channels)` to `(*batch, *out, channels)`."""
        return functional.lp_pool(inputs, self.norm_order, **self._options())
