"""The networks on Flax's own layers and plain `lax`, under the same parameter names.

No network is written twice: ours is built, and each of its layers takes the class that Flax has for
it. What holds the layers together stays, as it computes nothing but sums.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from jaxcnn import geometry, nn
from jaxcnn.models.lenet_classic import EuclideanRBF
from jaxcnn.models.speed_net import Scale, Whitening


class MaxPool(nn.MaxPool):
    """Flax's pool in place of ours."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return nnx.max_pool(inputs, *_windows(self))


class AvgPool(nn.AvgPool):
    """Flax's pool in place of ours, which counts no padding."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return nnx.avg_pool(inputs, *_windows(self), count_include_pad=False)


class Subsampling(nn.Subsampling):
    """Sums of windows, by `lax`, times a factor and plus a bias."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        window, strides, padding = _windows(self)
        if not isinstance(padding, str):
            padding = [(0, 0), *padding, (0, 0)]
        ones = (1, *window, 1), (1, *strides, 1)
        sums = lax.reduce_window(inputs, np.zeros((), inputs.dtype), lax.add, *ones, padding)
        return sums * self.coefficient[...] + self.bias[...]


class AdaptiveAvgPool(nn.AdaptiveAvgPool):
    """A mean of slices for each output, where the windows are not all alike."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        for axis, size in enumerate(self.output_shape, inputs.ndim - 1 - len(self.output_shape)):
            length = inputs.shape[axis]
            edges = [(i * length // size, -(-(i + 1) * length // size)) for i in range(size or 0)]
            means = [
                jnp.mean(lax.slice_in_dim(inputs, *each, axis=axis), axis, keepdims=True)
                for each in edges
            ]
            inputs = jnp.concatenate(means, axis) if means else inputs
        return inputs


class PaddedShortcut(nn.PaddedShortcut):
    """Slices, and NumPy's padding."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        kept = inputs[:, :: self.strides, :: self.strides]
        return jnp.pad(kept, [(0, 0)] * 3 + [(self.more // 2, self.more - self.more // 2)])


class TableConv(nn.TableConv):
    """The convolution of `lax` with the kernel laid out densely."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        numbers = ("NHWC", "HWIO", "NHWC")
        strides = geometry.per_axis("strides", self.strides, len(self.kernel_size))
        maps = lax.conv_general_dilated(
            inputs, self.dense_kernel(), strides, self.padding, dimension_numbers=numbers
        )
        return maps if self.bias is None else maps + self.bias[...]


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


def _windows(pool: Any) -> tuple[tuple[int, ...], tuple[int, ...], Any]:
    """Window, strides and padding of a pool, in the words of Flax and `lax`."""
    window, padding = pool.window_shape, pool.padding
    strides = geometry.per_axis("strides", pool.strides or 1, len(window))
    if not isinstance(padding, str):
        amounts = (padding,) * len(window) if isinstance(padding, int) else padding
        padding = [(n, n) if isinstance(n, int) else tuple(n) for n in amounts]
    return window, strides, padding


REPLACED = {
    nn.Conv: nnx.Conv,
    nn.ConvTranspose: nnx.ConvTranspose,
    nn.TableConv: TableConv,
    nn.MaxPool: MaxPool,
    nn.AvgPool: AvgPool,
    nn.Subsampling: Subsampling,
    nn.AdaptiveAvgPool: AdaptiveAvgPool,
    nn.PaddedShortcut: PaddedShortcut,
    nn.GlobalAvgPool: GlobalAvgPool,
    nn.GlobalMaxPool: GlobalMaxPool,
    Whitening: PlainWhitening,
}
# They compute as Flax's own examples do.
KEPT = (nn.Activation, nn.Flatten, Scale, EuclideanRBF)


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
