"""Pools of one window: the whole image."""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Inexact, Num

from jaxcnn import geometry
from jaxcnn._checks import arrays, dtypes, options
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.lowering.dtypes import widen
from jaxcnn.lowering.first_max import first_max
from jaxcnn.lowering.problem import Typed


@planned("inputs")
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
    axes = _axes(inputs, spatial_axes)
    keepdims = options.flag("keepdims", keepdims)
    dtype = dtypes.averageable(inputs)
    return to_run(_average, batch=axes[0], flat=False, axes=axes, keepdims=keepdims, dtype=dtype)


@planned("inputs")
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
    axes = _axes(inputs, spatial_axes)
    keepdims = options.flag("keepdims", keepdims)
    arrays.countable_pixels([inputs.shape[axis] for axis in axes])
    dtypes.comparable(inputs)
    return to_run(_maximum, batch=axes[0], flat=False, axes=axes, keepdims=keepdims)


def _average(inputs: Array, *, axes: tuple[int, ...], keepdims: bool, dtype: Any) -> Array:
    wide = widen(inputs.astype(dtype))
    sums = jnp.sum(wide, axis=axes, keepdims=keepdims, dtype=wide.dtype)
    count = math.prod(inputs.shape[axis] for axis in axes)
    return (sums / jnp.asarray(count, wide.dtype)).astype(dtype)


def _maximum(inputs: Array, *, axes: tuple[int, ...], keepdims: bool) -> Array:
    outputs = first_max(inputs, axes)
    return jnp.expand_dims(outputs, axes) if keepdims else outputs


def _axes(inputs: Typed, spatial_axes: object) -> tuple[int, ...]:
    """The axes to reduce, ascending."""
    if spatial_axes is None:
        if inputs.ndim < 3:
            raise ValueError(
                f"`inputs` must be (batch, *spatial, channels) where `spatial_axes` is "
                f"None; received inputs {inputs.shape}; name the axes to reduce"
            )
        axes = tuple(range(1, inputs.ndim - 1))
    else:
        entries = (spatial_axes,) if hasattr(spatial_axes, "__index__") else spatial_axes
        axes = geometry.axes_tuple("spatial_axes", entries, minimum=-inputs.ndim)
        if max(axes) >= inputs.ndim:
            raise ValueError(
                f"`spatial_axes` (={spatial_axes}) must be below the number of axes; "
                f"received inputs {inputs.shape}"
            )
        axes = tuple(sorted(axis % inputs.ndim for axis in axes))
        if len(set(axes)) < len(axes):
            raise ValueError(
                f"`spatial_axes` (={spatial_axes}) must not name an axis twice; "
                f"received inputs {inputs.shape}"
            )
    arrays.filled_axes(inputs, [inputs.shape[axis] for axis in axes])
    if inputs.shape[-1] < 1:
        raise ValueError(f"`inputs` must have at least one channel; received inputs {inputs.shape}")
    return axes
