"""Pools of one window: the whole image."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Inexact, Num

from jaxcnn import geometry
from jaxcnn.functional import _arguments, _dtypes
from jaxcnn.functional._program import program
from jaxcnn.lowering.dtypes import widen
from jaxcnn.lowering.first_max import first_max


@program("inputs", image=lambda **given: _image(**given))
def global_avg_pool(
    inputs: Num[Array, "*axes"],
    *,
    spatial_axes: int | tuple[int, ...] | None = None,
    keepdims: bool = False,
) -> Inexact[Array, "*remaining"]:
    """Averages over all pixels: one number per image and channel.

        out[n, c] = sum over i, j of x[n, i, j, c] / (h w)

    Every pixel takes the gradient 1 / (h w). A sum beyond the largest number of its dtype gives
    inf, as in `avg_pool`.

    Args:
      inputs: `(batch, *spatial, channels)`, or any array if `spatial_axes` are given.
      spatial_axes: the axes to average over, negative ones counted from the end. None: every axis
        between the first and the last, so give them where there is no batch axis or more than one.
      keepdims: keeps these axes, with size 1.
    Returns:
      `(batch, channels)` in the inputs' dtype; 16-bit floats are summed in float32, integers
      averaged as floats.
    Raises:
      ValueError: no spatial axis, one named twice or out of range, or an empty axis.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> F.global_avg_pool(jnp.arange(12.0).reshape(1, 2, 3, 2))
      Array([[5., 6.]], dtype=float32)
      >>> F.global_avg_pool(jnp.ones((7, 9, 4)), spatial_axes=(0, 1), keepdims=True).shape
      (1, 1, 4)

    References: M. Lin, Q. Chen and S. Yan, Network in network, 2014.
    """
    inputs, axes = _prepare("global_avg_pool", inputs, spatial_axes)
    keepdims = _arguments.flag("global_avg_pool", "keepdims", keepdims)
    inputs = _dtypes.averageable("global_avg_pool", inputs)
    wide = widen(inputs)
    sums = jnp.sum(wide, axis=axes, keepdims=keepdims, dtype=wide.dtype)
    count = math.prod(inputs.shape[axis] for axis in axes)
    return (sums / jnp.asarray(count, wide.dtype)).astype(inputs.dtype)


@program("inputs", image=lambda **given: _image(**given))
def global_max_pool(
    inputs: Num[Array, "*axes"],
    *,
    spatial_axes: int | tuple[int, ...] | None = None,
    keepdims: bool = False,
) -> Num[Array, "*remaining"]:
    """Takes the maximum over all pixels: one number per image and channel.

        out[n, c] = max over i, j of x[n, i, j, c]

    The first of equal pixels in row-major order takes the whole gradient (`jnp.max` splits it). An
    image with a NaN gives NaN, and the gradient goes to its first NaN.

    Args:
      inputs: `(batch, *spatial, channels)`, or any array if `spatial_axes` are given.
      spatial_axes: the axes to reduce, negative ones counted from the end. None: every axis between
        the first and the last, so give them where there is no batch axis or more than one.
      keepdims: keeps these axes, with size 1.
    Returns:
      `(batch, channels)` in the inputs' dtype.
    Raises:
      ValueError: no spatial axis, one named twice or out of range, an empty axis, or more pixels
        than int32 counts.
      TypeError: an argument is of the wrong type.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxcnn import functional as F
      >>> image = jnp.array([3.0, 7.0, 7.0]).reshape(1, 3, 1)
      >>> F.global_max_pool(image)
      Array([[7.]], dtype=float32)
      >>> jax.grad(lambda x: F.global_max_pool(x).sum())(image).ravel()
      Array([0., 1., 0.], dtype=float32)
    """
    inputs, axes = _prepare("global_max_pool", inputs, spatial_axes)
    keepdims = _arguments.flag("global_max_pool", "keepdims", keepdims)
    _arguments.countable_pixels("global_max_pool", [inputs.shape[axis] for axis in axes])
    outputs = first_max(_dtypes.comparable("global_max_pool", inputs), axes)
    return jnp.expand_dims(outputs, axes) if keepdims else outputs


def _image(inputs: Array, spatial_axes: object = None, **_) -> int:
    """How many axes there are from the first that is reduced."""
    _, axes = _prepare("global_pool", inputs, spatial_axes)
    return inputs.ndim - axes[0]


def _prepare(function: str, inputs: object, spatial_axes: object) -> tuple[Array, tuple[int, ...]]:
    """Returns the inputs as an array, and the axes to reduce, ascending."""
    array = _arguments.array(function, "inputs", inputs)
    if spatial_axes is None:
        if array.ndim < 3:
            raise ValueError(
                f"{function}: `inputs` must be (batch, *spatial, channels) where `spatial_axes` is "
                f"None; received inputs {array.shape}; name the axes to reduce"
            )
        axes = tuple(range(1, array.ndim - 1))
    else:
        entries = (spatial_axes,) if hasattr(spatial_axes, "__index__") else spatial_axes
        axes = geometry.axes_tuple(function, "spatial_axes", entries, minimum=-array.ndim)
        if max(axes) >= array.ndim:
            raise ValueError(
                f"{function}: `spatial_axes` (={spatial_axes}) must be below the number of axes; "
                f"received inputs {array.shape}"
            )
        axes = tuple(sorted(axis % array.ndim for axis in axes))
        if len(set(axes)) < len(axes):
            raise ValueError(
                f"{function}: `spatial_axes` (={spatial_axes}) must not name an axis twice; "
                f"received inputs {array.shape}"
            )
    _arguments.filled_axes(function, array, [array.shape[axis] for axis in axes])
    if array.shape[-1] < 1:
        raise ValueError(
            f"{function}: `inputs` must have at least one channel; received inputs {array.shape}"
        )
    return array, axes
