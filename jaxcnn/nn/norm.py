"""Normalisation: of activations as PyTorch's networks have it, and of kernels."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Inexact

from jaxcnn._checks.naming import named, named_module
from jaxcnn._modules import initial
from jaxcnn.nn.conv import Conv

_TORCH = dict(momentum=0.9, epsilon=1e-5, scale_init=initial.ones, bias_init=initial.zeros)


@named
def batch_norm(num_features: int, **options: Any) -> nnx.BatchNorm:
    """Flax's batch normalisation with PyTorch's constants, for `ConvBlock` and its kin.

    Args:
      num_features: channels.
      **options: of `flax.nnx.BatchNorm`; `momentum` is 0.9 (PyTorch's 0.1 seen from the other
        side) and `epsilon` 1e-5 unless given.
    Returns:
      The module; `model.train()` makes it normalise by the batch, `model.eval()` by the averages.

    Example:
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> nn.batch_norm(16, rngs=nnx.Rngs(0)).momentum
      0.9
    """
    known = {**_TORCH, **options}
    if not isinstance(num_features, int) or num_features < 1:
        return nnx.BatchNorm(num_features, **known)  # says what is wrong

    def shaped(draw: Any) -> Any:
        return lambda key, _, dtype: draw(key, (num_features,), dtype)

    # Flax fills the averages by a program a shape, of 25 ms: so it is told of one feature.
    drawn = {name: shaped(known[name]) for name in ("scale_init", "bias_init")}
    norm = nnx.BatchNorm(1, **{**known, **drawn})
    norm.num_features = num_features
    norm.mean = nnx.BatchStat(initial.filled((num_features,), 0))
    norm.var = nnx.BatchStat(initial.filled((num_features,), 1))
    return norm


@named_module
class StandardizedConv(Conv):
    """`Conv` whose kernel is standardised before it is used.

        w[..., o] = (kernel[..., o] - mean) / sqrt(variance + epsilon)

    with mean and variance over all taps and channels that output o sees. Together with group
    normalisation it makes up for batch normalisation where batches are small.

    Args:
      in_features: channels of the inputs.
      out_features: channels of the outputs.
      kernel_size: taps per spatial axis.
      epsilon: added to the variance, above 0.
      **options: the rest of `Conv`'s, but for `conv_general_dilated` and `mask`.
    Raises:
      ValueError: an option is out of range.
      TypeError: an option is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> layer = nn.StandardizedConv(3, 16, (3, 3), rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((8, 32, 28, 3))).shape, layer.effective_kernel().std((0, 1, 2)).round(2)[0]
      ((8, 32, 28, 16), Array(1., dtype=float32))

    References:
      S. Qiao, H. Wang, C. Liu, W. Shen and A. Yuille, Micro-batch training with batch-channel
      normalization and weight standardization, 2019.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sequence[int],
        *args: Any,
        epsilon: float = 1e-5,
        **options: Any,
    ):
        for name in ("conv_general_dilated", "mask"):
            if options.get(name) is not None:
                raise ValueError(f"`{name}` is not supported; use Conv for it")
        if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)):
            raise TypeError(f"`epsilon` (={epsilon!r}) must be a number")
        if not epsilon > 0:
            raise ValueError(f"`epsilon` (={epsilon}) must be above 0")
        super().__init__(in_features, out_features, kernel_size, *args, **options)
        self.epsilon = float(epsilon)

    def effective_kernel(self) -> Inexact[Array, "*kernel_size group_features out_features"]:
        """The standardised kernel."""
        kernel = self.kernel[...]
        axes = tuple(range(kernel.ndim - 1))
        centred = kernel - jnp.mean(kernel, axes, keepdims=True)
        variance = jnp.mean(jnp.square(jnp.abs(centred)), axes, keepdims=True)
        return centred / jnp.sqrt(variance + self.epsilon)
