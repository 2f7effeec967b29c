"""Pools of windows as modules: their options are checked once, when the module is built."""

from typing import Any, ClassVar

from flax import nnx
from jaxtyping import Array, Inexact, Num

from jaxcnn import functional, geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._checks.pools import PADDING_MODES
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering import choose


@named_module
class WindowPool(nnx.Module):
    """What all pools of windows have in common: where the windows lie.

    Args:
      window_shape: taps of a window, a tuple with one int per spatial axis.
      strides: pixels between windows, per spatial axis; None means 1, as in Flax.
      padding: "SAME", "SAME_LOWER", "VALID", "FULL", "CAUSAL", an int, or an int or (low, high)
        pair per spatial axis.
      padding_mode: "identity" (nothing that could change the result), "zeros", "reflect",
        "replicate" or "circular".
      window_dilation: pixels between neighbouring taps, per spatial axis.
      ceil_mode: whether a last window may hang over the end.
      algorithm: "auto", or the name of one lowering.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.
    """

    _algorithms: ClassVar[tuple[str, ...]] = tuple(choose.SUM_POOL_ALGORITHMS)

    def __init__(
        self,
        window_shape: tuple[int, ...],
        strides: IntPerAxis | None = None,
        padding: Padding = "VALID",
        *,
        padding_mode: str = "identity",
        window_dilation: IntPerAxis = 1,
        ceil_mode: bool = False,
        algorithm: str = "auto",
    ):
        self.window_shape = geometry.axes_tuple("window_shape", window_shape)
        rank = len(self.window_shape)
        self.strides = checks.per_axis("strides", strides, rank)
        self.window_dilation = geometry.per_axis("window_dilation", window_dilation, rank)
        self.padding = checks.padding(
            padding, self.window_shape, self.window_dilation, fills=(), crop=False
        )
        self.padding_mode = checks.choice("padding_mode", padding_mode, PADDING_MODES)
        self.ceil_mode = checks.flag("ceil_mode", ceil_mode)
        self.algorithm = checks.choice("algorithm", algorithm, ("auto", *self._algorithms))

    def _options(self) -> dict[str, Any]:
        """The arguments that the functions take after the inputs."""
        return dict(
            window_shape=self.window_shape,
            strides=self.strides,
            padding=self.padding,
            padding_mode=self.padding_mode,
            window_dilation=self.window_dilation,
            ceil_mode=self.ceil_mode,
            algorithm=self.algorithm,
        )


@named_module
class MaxPool(WindowPool):
    """The largest element of each window, per channel: `functional.max_pool`.

    Arguments: `WindowPool`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> nn.MaxPool((2, 2), strides=2)(jnp.ones((8, 28, 28, 6))).shape
      (8, 14, 14, 6)
    """

    _algorithms = tuple(choose.MAX_POOL_ALGORITHMS)

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial channels"]
    ) -> Num[Array, "*batch_and_out channels"]:
        """Pools `(*batch, *spatial, channels)` to `(*batch, *out, channels)`."""
        return functional.max_pool(inputs, **self._options())


@named_module
class MinPool(WindowPool):
    """The smallest element of each window, per channel: `functional.min_pool`.

    Arguments: `WindowPool`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> nn.MinPool((3,), padding="SAME")(jnp.ones((8, 28, 6))).shape
      (8, 28, 6)
    """

    _algorithms = tuple(choose.MAX_POOL_ALGORITHMS)

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial channels"]
    ) -> Num[Array, "*batch_and_out channels"]:
        """Pools `(*batch, *spatial, channels)` to `(*batch, *out, channels)`."""
        return functional.min_pool(inputs, **self._options())


@named_module
class SumPool(WindowPool):
    """The sum of each window, per channel: `functional.sum_pool`.

    Arguments: `WindowPool`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> nn.SumPool((2, 2))(jnp.ones((1, 2, 2, 1))).item()
      4.0
    """

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial channels"]
    ) -> Num[Array, "*batch_and_out channels"]:
        """Pools `(*batch, *spatial, channels)` to `(*batch, *out, channels)`."""
        return functional.sum_pool(inputs, **self._options())


@named_module
class AvgPool(WindowPool):
    """The average of each window, per channel: `functional.avg_pool`.

    Args:
      window_shape: as in `WindowPool`.
      strides: as in `WindowPool`.
      padding: as in `WindowPool`.
      count_include_pad: whether the padding counts in the divisor, as in Flax.
      divisor_override: divides every window in place of the count; not 0.
      **options: the rest of `WindowPool`'s.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> pool = nn.AvgPool((2, 2), padding=((0, 1), (0, 0)), count_include_pad=False)
      >>> pool(jnp.ones((2, 3, 1))).ravel()
      Array([1., 1., 1., 1.], dtype=float32)
    """

    def __init__(
        self,
        window_shape: tuple[int, ...],
        strides: IntPerAxis | None = None,
        padding: Padding = "VALID",
        count_include_pad: bool = True,
        *,
        divisor_override: int | None = None,
        **options: Any,
    ):
        super().__init__(window_shape, strides, padding, **options)
        self.count_include_pad = checks.flag("count_include_pad", count_include_pad)
        if divisor_override is not None:
            divisor_override = geometry.whole_number("divisor_override", divisor_override)
            if divisor_override == 0:
                raise ValueError("`divisor_override` (=0) must not be 0")
        self.divisor_override = divisor_override

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial channels"]
    ) -> Inexact[Array, "*batch_and_out channels"]:
        """Pools `(*batch, *spatial, channels)` to `(*batch, *out, channels)`."""
        return functional.avg_pool(
            inputs,
            count_include_pad=self.count_include_pad,
            divisor_override=self.divisor_override,
            **self._options(),
        )
