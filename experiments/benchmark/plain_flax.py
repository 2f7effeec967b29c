"""The networks on Flax's own layers and plain `lax`, under the same parameter names.

No network is written twice: ours is built, and each of its layers takes the class that Flax has for
it. What holds the layers together stays, as it computes nothing but sums.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxcnn import geometry, nn
from jaxcnn.models.speed_net import Scale, Whitening


class MaxPool(nn.MaxPool):
    """Flax's pool in place of ours."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        strides = geometry.per_axis("strides", self.strides or 1, len(self.window_shape))
        return nnx.max_pool(inputs, self.window_shape, strides, self.padding)


class GlobalAvgPool(nn.GlobalAvgPool):
    """NumPy's mean in place of ours."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return jnp.mean(inputs, self.spatial_axes, keepdims=self.keepdims)


class GlobalMaxPool(nn.GlobalMaxPool):
    """NumPy's maximum in place of ours."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return jnp.max(inputs, self.spatial_axes, keepdims=self.keepdims)


class PlainWhitening(Whitening):
    """The convolution of `lax` in place of ours."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        numbers = ("NHWC", "HWIO", "NHWC")
        kernel = self.kernel[...]
        maps = lax.conv_general_dilated(inputs, kernel, (1, 1), "VALID", dimension_numbers=numbers)
        return maps + self.bias[...]


REPLACED = {
    nn.Conv: nnx.Conv,
    nn.ConvTranspose: nnx.ConvTranspose,
    nn.MaxPool: MaxPool,
    nn.GlobalAvgPool: GlobalAvgPool,
    nn.GlobalMaxPool: GlobalMaxPool,
    Whitening: PlainWhitening,
}
KEPT = (nn.Activation, nn.Flatten, Scale)  # they compute as Flax's own examples do


def plain(make: Callable[..., nnx.Module]) -> Callable[..., nnx.Module]:
    """Makes what `make(rngs=...)` makes, on Flax's own layers.

    Raises:
      ValueError: a layer has no counterpart here.
    """

    def made(rngs: nnx.Rngs) -> nnx.Module:
        model = make(rngs=rngs)
        for path, module in list(nnx.iter_modules(model)):
            kind = type(module)
            inner = next(nnx.iter_module_children(module), None)
            if kind in REPLACED:
                module.__class__ = REPLACED[kind]
            elif inner is None and kind.__module__.startswith("jaxcnn") and kind not in KEPT:
                where = ".".join(map(str, path))
                raise ValueError(f"plain: {kind.__name__} at {where} has no plain form; add one")
        return model

    return made
