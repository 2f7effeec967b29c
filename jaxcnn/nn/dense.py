"""Turns a fully connected layer into a convolution, and a convolution into such a layer."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn._modules.affine import affine
from jaxcnn._modules.still import still
from jaxcnn.nn.conv import Conv


@named
def dense_to_conv(layer: nnx.Linear, window_shape: Sequence[int]) -> Conv:
    """The convolution that does on every window what a fully connected layer does on one image.

    A layer after a flattening adds up all pixels of an image, each times a weight of its own: one
    step of a convolution whose kernel is as large as the image. On a larger image that kernel
    slides, and gives what the layer would give on each window.

    Args:
      layer: the fully connected layer, on images that were flattened in row-major order.
      window_shape: spatial sizes of these images; (1, 1) for a layer that follows another.
    Returns:
      A convolution without padding, its kernel `(*window_shape, channels, out_features)`. Its
      parameters are copies.
    Raises:
      ValueError: the layer's inputs are no such images.
      TypeError: `layer` is no `flax.nnx.Linear`.

    Example:
      >>> import numpy as np
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> dense = nnx.Linear(5 * 5 * 16, 120, rngs=nnx.Rngs(0))
      >>> conv = nn.dense_to_conv(dense, (5, 5))
      >>> images = np.linspace(0, 1, 400, dtype=np.float32).reshape(1, 5, 5, 16)
      >>> np.allclose(conv(images)[:, 0, 0], dense(images.reshape(1, 400)), atol=1e-5)
      True
      >>> conv(np.ones((1, 9, 12, 16), np.float32)).shape
      (1, 5, 8, 120)
    """
    if not isinstance(layer, nnx.Linear):
        raise TypeError(f"`layer` must be a flax.nnx.Linear, got {type(layer).__name__}")
    window = geometry.axes_tuple("window_shape", window_shape)
    channels, rest = divmod(layer.in_features, math.prod(window))
    if rest:
        raise ValueError(
            f"`window_shape` (={window}) must hold a whole number of channels of the "
            f"layer's {layer.in_features} inputs"
        )
    kernel = layer.kernel.get_value()
    conv = _without_drawing(
        lambda rngs: Conv(
            channels,
            layer.out_features,
            window,
            padding="VALID",
            use_bias=layer.bias is not None,
            dtype=layer.dtype,
            param_dtype=kernel.dtype,
            precision=layer.precision,
            rngs=rngs,
        )
    )
    conv.kernel.set_value(kernel.reshape(*window, channels, layer.out_features))
    if layer.bias is not None and conv.bias is not None:
        conv.bias.set_value(jnp.array(layer.bias.get_value()))
    return conv


@named
def conv_to_dense(layer: nnx.Module, input_shape: Sequence[int]) -> nnx.Linear:
    """The fully connected layer that does on flattened images what a convolution does on images.

    Its kernel is the convolution as a matrix: mostly zeros, and the same few weights over and over.
    Any layer that in evaluation is linear but for a constant will do, a transposed convolution or
    an average pool too; it stays as it is.

    Args:
      layer: `nn.Conv` or another such layer.
      input_shape: `(*spatial, channels)` of the images, whose sizes are fixed from here on.
    Returns:
      A layer from prod(input_shape) inputs to as many outputs as the convolution has in all, both
      in row-major order, channels last. Its bias is that of the convolution, repeated.
    Raises:
      ValueError: the images don't suit the layer.
      TypeError: `layer` can't be called.

    Example:
      >>> import numpy as np
      >>> from flax import nnx
      >>> from jaxcnn import nn
      >>> conv = nn.Conv(2, 3, (3, 3), strides=2, rngs=nnx.Rngs(0))
      >>> dense = nn.conv_to_dense(conv, (6, 8, 2))
      >>> conv.kernel.size, dense.kernel.shape
      (54, (96, 36))
      >>> images = np.linspace(0, 1, 96, dtype=np.float32).reshape(1, 6, 8, 2)
      >>> np.allclose(dense(images.reshape(1, 96)), conv(images).reshape(1, 36), atol=1e-5)
      True
    """
    function: Any = layer
    if not callable(function):
        raise TypeError(f"`layer` must be a layer, got {type(layer).__name__}")
    shape = geometry.axes_tuple("input_shape", input_shape)
    kernels = [p for p in jax.tree.leaves(nnx.state(layer, nnx.Param)) if p.ndim > 1]
    dtype = kernels[0].dtype if kernels else jnp.float32
    matrix, constant = affine(still("layer", function), shape, dtype)
    outputs, inputs = matrix.shape
    dense = _without_drawing(
        lambda rngs: nnx.Linear(
            inputs, outputs, dtype=getattr(layer, "dtype", None), param_dtype=dtype, rngs=rngs
        )
    )
    dense.kernel.set_value(matrix.T.astype(dtype))
    if dense.bias is not None:
        dense.bias.set_value(constant.reshape(-1).astype(dtype))
    return dense


def _without_drawing(build: Any) -> Any:
    """A layer whose parameters have no values yet."""
    return nnx.eval_shape(lambda: build(nnx.Rngs(0)))
