"""Convolution whose outputs see only the inputs that a table names."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import functional, geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named_module
from jaxcnn._modules import initial
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.lowering.problem import Precision
from jaxcnn.nn._layer import ConvLayer, array_of, with_array


@named_module
class TableConv(ConvLayer):
    """Convolution over the pairs of features that `connections` lists, as in C3 of LeNet-5.

        out[n, i, j, o] = bias[o] + sum over a, b and the c in connections[o] of
                          x[n, i + a, j + b, c] * kernel[a, b, pair(o, c)]

    Only connected pairs have parameters: the kernel is stored as `(*kernel_size, pairs)`, the
    pairs of output 0 first, and laid into a dense one, whose other entries are zeros, when called.

    Args:
      in_features: channels of the inputs.
      connections: for every output feature, the input features that it sees.
      kernel_size: taps per spatial axis.
      strides: pixels between windows, per spatial axis.
      padding: as in `functional.conv`.
      kernel_dilation: pixels between neighbouring taps.
      use_bias: whether to add one number per output feature.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
      precision: of the products, as `jax.lax.Precision`.
      kernel_init: draws the kernel of each output, `(*kernel_size, its pairs, 1)`, so that an
        initialiser that scales by the fan-in sees the right one. A partitioning names the axes of
        the stored kernel.
      bias_init: draws `bias`, `(out_features,)`.
      rngs: random streams; "params" is drawn from, the kernels first, in order.
    Raises:
      ValueError: an entry of the table is no input feature, or is listed twice.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> layer = nn.TableConv(3, ((0, 1), (1, 2), (0, 1, 2)), (5, 5), rngs=nnx.Rngs(0))
      >>> layer.kernel.shape
      (5, 5, 7)
      >>> layer(jnp.ones((8, 14, 14, 3))).shape
      (8, 14, 14, 3)
    """

    def __init__(
        self,
        in_features: int,
        connections: Sequence[Sequence[int]],
        kernel_size: Sequence[int],
        strides: IntPerAxis = 1,
        *,
        padding: Padding = "SAME",
        kernel_dilation: IntPerAxis = 1,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        precision: Precision = None,
        kernel_init: Callable[..., Any] = initial.KERNEL_INIT,
        bias_init: Callable[..., Any] = initial.BIAS_INIT,
        rngs: nnx.Rngs,
    ):
        inside = checks.features("in_features", in_features)
        self.connections = _table(connections, inside)
        super().__init__(
            inside,
            len(self.connections),
            kernel_size,
            strides,
            padding=padding,
            kernel_dilation=kernel_dilation,
            use_bias=use_bias,
            dtype=dtype,
            param_dtype=param_dtype,
            precision=precision,
            rngs=rngs,
        )
        drawn = [
            self._draw("kernel_init", kernel_init, (*self.kernel_size, len(seen), 1), rngs)
            for seen in self.connections
        ]
        kernels = [array_of(kernel)[..., 0] for kernel in drawn]
        self.kernel = nnx.Param(with_array(drawn[0], jnp.concatenate(kernels, -1)))
        self.bias = self._draw_bias(bias_init, (self.out_features,), rngs)

    def dense_kernel(self) -> Inexact[Array, "*kernel_size in_features out_features"]:
        """The kernel with zeros where nothing is connected."""
        return _dense(self.kernel[...], self.connections, self.in_features)

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial in_features"]
    ) -> Inexact[Array, "*batch_and_out out_features"]:
        """Convolves `(*batch, *spatial, in_features)` to `(*batch, *out, out_features)`."""
        inputs, kernel, bias = self._promoted(inputs, self.dense_kernel(), self.bias)
        return functional.conv(inputs, kernel, bias, **self._options())


@functools.partial(jax.jit, static_argnums=(1, 2))
def _dense(
    kernel: Inexact[Array, "*kernel_size pairs"],
    connections: tuple[tuple[int, ...], ...],
    in_features: int,
) -> Inexact[Array, "*kernel_size in_features out_features"]:
    """Lays the pairs' kernels into one of all features; one program outside `jit` too."""
    inside = np.concatenate([np.asarray(seen) for seen in connections])
    outside = np.repeat(np.arange(len(connections)), [len(seen) for seen in connections])
    dense = jnp.zeros((*kernel.shape[:-1], in_features, len(connections)), kernel.dtype)
    # No pair is listed twice, so that neither this nor its gradient adds anything up.
    return dense.at[..., inside, outside].set(kernel, unique_indices=True)


def _table(connections: Any, in_features: int) -> tuple[tuple[int, ...], ...]:
    """The table with its entries checked."""
    label = "`connections`"
    try:
        rows = tuple(tuple(row) for row in connections)
    except TypeError:
        raise TypeError(
            f"{label} (={connections!r}) must hold a tuple of input features per output feature"
        ) from None
    if not rows or not all(rows):
        raise ValueError(
            f"{label} must name at least one input feature for each output; received {rows}"
        )
    table = tuple(
        tuple(geometry.whole_number("connections", entry, 0) for entry in row) for row in rows
    )
    for output, row in enumerate(table):
        if max(row) >= in_features or len(set(row)) < len(row):
            raise ValueError(
                f"{label} must list each input feature, 0 to {in_features - 1}, at most once; "
                f"received {row} for output feature {output}"
            )
    return table
