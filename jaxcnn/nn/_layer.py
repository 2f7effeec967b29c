"""The base class of the convolutions for which Flax has no layer."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from flax import nnx
from flax.nnx.nn import dtypes
from jax.typing import DTypeLike

from jaxcnn import geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering.problem import Precision


@named_module
class ConvLayer(nnx.Module):
    """Checks and keeps the options of a convolution; a subclass adds parameters and the call.

    Args:
      in_features: channels of the inputs.
      out_features: channels of the outputs.
      kernel_size: taps per spatial axis, a tuple.
      strides: pixels between windows, per spatial axis.
      padding: any form that `functional.conv` takes.
      kernel_dilation: pixels between neighbouring taps.
      use_bias: whether there is a bias.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
      precision: of the products.
      rngs: random streams.
      fills: the paddings that are fills which the function takes.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sequence[int],
        strides: IntPerAxis,
        *,
        padding: Padding,
        kernel_dilation: IntPerAxis,
        use_bias: bool,
        dtype: DTypeLike | None,
        param_dtype: DTypeLike,
        precision: Precision,
        rngs: nnx.Rngs,
        fills: tuple[str, ...] = checks.FILLS,
    ):
        self.in_features = checks.features("in_features", in_features)
        self.out_features = checks.features("out_features", out_features)
        self.kernel_size = checks.kernel_size(kernel_size)
        rank = len(self.kernel_size)
        self.strides = geometry.per_axis("strides", strides, rank)
        self.kernel_dilation = geometry.per_axis("kernel_dilation", kernel_dilation, rank)
        self.padding = checks.padding(padding, self.kernel_size, self.kernel_dilation, fills=fills)
        self.use_bias = checks.flag("use_bias", use_bias)
        checks.dtypes(dtype, param_dtype)
        self.dtype, self.param_dtype = dtype, param_dtype
        self.precision = checks.precision(precision)
        checks.rngs(rngs)

    def _draw(
        self, argument: str, init: Callable[..., Any], shape: tuple[int, ...], rngs: nnx.Rngs
    ) -> Any:
        """Draws one array of parameters by the initialiser given as `argument`.

        Initialisers of Flax's, such as those of `nnx.with_partitioning`, wrap it with metadata.
        """
        checks.function(argument, init)
        return init(rngs.params(), shape, self.param_dtype)

    def _draw_bias(
        self, init: Callable[..., Any], shape: tuple[int, ...], rngs: nnx.Rngs
    ) -> nnx.Param | None:
        """Draws the bias, or keeps its place in the state empty, as Flax does."""
        if not self.use_bias:
            checks.function("bias_init", init)
            return nnx.data(None)
        return nnx.Param(self._draw("bias_init", init, shape, rngs))

    def _promoted(self, inputs: Any, *parameters: Any) -> tuple[Any, ...]:
        """Checks the inputs and casts them and the parameters to one dtype, as Flax does."""
        rank = len(self.kernel_size)
        inputs = checks.inputs(inputs, rank, self.in_features)
        values = (None if p is None else p[...] for p in parameters)
        return dtypes.promote_dtype((inputs, *values), dtype=self.dtype)

    def _options(self) -> dict[str, Any]:
        """The options that every function of `functional` takes."""
        return dict(
            strides=self.strides,
            padding=self.padding,
            kernel_dilation=self.kernel_dilation,
            precision=self.precision,
        )


def array_of(drawn: Any) -> Any:
    """The array that an initialiser drew, without the metadata that it may have around it."""
    return drawn.raw_value if isinstance(drawn, nnx.VariableMetadata) else drawn


def with_array(drawn: Any, array: Any) -> Any:
    """What an initialiser gave with another array in it.

    The metadata stays, a partitioning too: it names the axes of the parameter.
    """
    if isinstance(drawn, nnx.VariableMetadata):
        return dataclasses.replace(drawn, raw_value=array)
    return array
