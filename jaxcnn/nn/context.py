"""The dilated context block: a wide view without losing resolution."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact, Num

from jaxcnn import geometry
from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named, named_module
from jaxcnn._modules import initial
from jaxcnn.nn.chain import Activation, Chain
from jaxcnn.nn.conv import Conv


@named_module
class ContextBlock(nnx.Module):
    """Convolutions of three taps ever further apart, then one of one tap; sizes stay.

    The dilations 1, 1, 2, 4, 8, 16, 1 see 67 pixels along each axis with 64 C^2 weights. All but
    the last are followed by a ReLU. The block starts as the identity (for inputs that the ReLU
    keeps), so that it can be put into a trained network.

    Args:
      features: channels C of inputs and outputs.
      dilations: pixels between neighbouring taps, a convolution each.
      widths: channels of each convolution as multiples of C; None means 1 for all (the basic
        block). The paper's large one has (2, 2, 4, 8, 16, 32, 32).
      rank: number of spatial axes.
      noise: standard deviation of the weights that the identity leaves 0.
      dtype: dtype of the computation; None takes that of inputs and parameters.
      param_dtype: dtype of the parameters.
      rngs: draws the parameters.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> block = nn.ContextBlock(5, rngs=nnx.Rngs(0))
      >>> block(jnp.ones((2, 16, 20, 5))).shape
      (2, 16, 20, 5)

    References:
      F. Yu and V. Koltun, Multi-scale context aggregation by dilated convolutions, 2016.
    """

    def __init__(
        self,
        features: int,
        *,
        dilations: Sequence[int] = (1, 1, 2, 4, 8, 16, 1),
        widths: Sequence[int] | None = None,
        rank: int = 2,
        noise: float = 0.0,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.features = checks.features("features", features)
        self.rank = geometry.whole_number("rank", rank, 1)
        self.dilations = geometry.axes_tuple("dilations", dilations)
        count = len(self.dilations)
        widths = (1,) * count if widths is None else geometry.axes_tuple("widths", widths)
        if len(widths) != count:
            raise ValueError(
                f"`widths` (={widths}) must have one entry for each of the {count} "
                f"`dilations` {self.dilations}"
            )
        if isinstance(noise, bool) or not isinstance(noise, (int, float)):
            raise TypeError(f"`noise` (={noise!r}) must be a number")
        if not noise >= 0:
            raise ValueError(f"`noise` (={noise}) must be 0 or more")
        options: dict[str, Any] = dict(
            kernel_init=identity_init(self.features, noise),
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )
        layers, inside = {}, self.features
        for index, (spacing, width) in enumerate(zip(self.dilations, widths, strict=True), 1):
            outside = width * self.features
            size = (3,) * self.rank
            layers[f"conv{index}"] = Conv(
                inside, outside, size, padding=spacing, kernel_dilation=spacing, **options
            )
            layers[f"relu{index}"] = Activation("relu")
            inside = outside
        layers[f"conv{count + 1}"] = Conv(inside, self.features, (1,) * self.rank, **options)
        self.branch = Chain(**layers)

    def __call__(
        self, inputs: Num[Array, "*batch_and_spatial features"]
    ) -> Inexact[Array, "*batch_and_spatial features"]:
        """Takes `(*batch, *spatial, features)` to the same shape."""
        return self.branch(checks.inputs(inputs, self.rank, self.features))


@named
def identity_init(features: int, noise: float = 0.0) -> Any:
    """The paper's initialiser: each layer hands on what it is given, copied where it widens.

    Input channel a of c and output channel b of c' have the weight C/c' at the middle tap where
    floor(a*C/c) = floor(b*C/c'), C the number of features, so that the copies of each feature add
    up to the same from layer to layer.

    Args:
      features: C.
      noise: standard deviation of all other weights.
    Returns:
      An initialiser of kernels `(*kernel_size, c, c')`.
    """

    def init(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        *size, inside, outside = shape
        same = (np.arange(inside) * features // inside)[:, None] == (
            np.arange(outside) * features // outside
        )[None]
        centre = tuple(taps // 2 for taps in size)
        kept = np.zeros(shape, bool)
        kept[centre] = same
        drawn = (initial.normal(noise) if noise else initial.zeros)(key, shape, dtype)
        return jnp.where(kept, jnp.asarray(features / outside, dtype), drawn)

    return init
