"""Pooling with two parameters per channel, as LeNet-5 had it in 1998."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn import dtypes
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import functional
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering.dtypes import on_all_axes
from jaxcnn.nn.pool import WindowPool


@named_module
class Subsampling(WindowPool):
    """Adds up each window, times a coefficient, plus a bias, both learnt per channel.

        out[n, i, j, c] = coefficient[c] * (sum over a, b of x[n, i*s + a, j*s + b, c]) + bias[c]

    Args:
      features: channels of inputs and outputs.
      window_shape: taps of a window, a tuple with one int per spatial axis.
      strides: pixels between windows; None means the window's own sizes, so that none overlap.
      padding: as in `functional.sum_pool`.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
      coefficient_init: draws `coefficient`, `(features,)`; by default the average of the window.
      bias_init: draws `bias`, `(features,)`.
      rngs: random streams; "params" is drawn from, the coefficient first.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> layer = nn.Subsampling(6, (2, 2), rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((8, 28, 28, 6))).shape
      (8, 14, 14, 6)

    References:
      Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document
      recognition, 1998, section II B.
    """

    def __init__(
        self,
        features: int,
        window_shape: tuple[int, ...],
        strides: IntPerAxis | None = None,
        padding: Padding = "VALID",
        *,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        coefficient_init: Callable[..., Any] | None = None,
        bias_init: Callable[..., Any] = initial.BIAS_INIT,
        rngs: nnx.Rngs,
    ):
        super().__init__(window_shape, window_shape if strides is None else strides, padding)
        self.features = checks.features("features", features)
        checks.dtypes(dtype, param_dtype)
        self.dtype, self.param_dtype = dtype, param_dtype
        checks.rngs(rngs)
        if coefficient_init is None:
            coefficient_init = initial.constant(1 / math.prod(self.window_shape))
        checks.function("coefficient_init", coefficient_init)
        checks.function("bias_init", bias_init)
        self.coefficient = nnx.Param(coefficient_init(rngs.params(), (features,), param_dtype))
        self.bias = nnx.Param(bias_init(rngs.params(), (features,), param_dtype))

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial features"]
    ) -> Inexact[Array, "*batch_and_out features"]:
        """Pools `(*batch, *spatial, features)` to `(*batch, *out, features)`."""
        inputs = checks.inputs(inputs, len(self.window_shape), self.features)
        inputs, coefficient, bias = dtypes.promote_dtype(
            (inputs, self.coefficient[...], self.bias[...]), dtype=self.dtype
        )
        sums = functional.sum_pool(inputs, **self._options())
        return sums * on_all_axes(coefficient, sums) + on_all_axes(bias, sums)
