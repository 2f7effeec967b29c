"""Sums of windows as sums of shifted slices, one axis after the other.

The sum of a window is the sum of its rows' sums: k1 + k2 additions a pixel in place of k1*k2. Each
is linear; the tangent is stated as a `tap_sum`, whose transpose is made of slices.

The sums of each axis are an array of their own. Blocks of images, by `lax.map`, keep it in the
cache and were expected to halve the time; they did not pay. On two shared CPU cores, float32, JAX
0.10.2, 64 images of 32x32 with 64 channels, whole / in blocks of 8, ms forward and forward with
backward: 3x3 average 3.1, 19.4 / 3.7, 16.5; 3x3 maximum 2.7, 25.1 / 3.5, 26.0; 2x2 maximum 0.8, 7.1
/ 2.7, 40.2; 3x3 depthwise convolution 4.3, 42.0 / 8.0, 48.0. What the blocks save in memory they
lose by being copied out and in.
"""

import functools
import operator

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxcnn.geometry import Windows
from jaxcnn.lowering import slices
from jaxcnn.lowering.pool_shift import shared
from jaxcnn.lowering.reduce_axis import is_long, reduce_axis
from jaxcnn.lowering.tap_sum import tap_sum


def sum_pool(
    inputs: Num[Array, "n *spatial channels"], windows: Windows
) -> Num[Array, "n *out channels"]:
    """Adds up each window; the padding counts as 0."""
    if jnp.issubdtype(inputs.dtype, jnp.inexact):
        return _differentiable(inputs, windows)
    return _sums(inputs, windows)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _differentiable(inputs: Array, windows: Windows) -> Array:
    return _sums(inputs, windows)


@_differentiable.defjvp
def _tangent(windows: Windows, primals, tangents):
    return _differentiable(*primals, windows), moved_sums(*tangents, windows)


@functools.partial(jax.jit, static_argnums=1)
def _sums(inputs: Array, windows: Windows) -> Array:
    """The sums as chains of slices."""
    values = slices.pad_for_windows(inputs, windows, 0)
    for axis in reversed(range(windows.rank)):
        values = shared(values, windows, axis)
        values = reduce_axis(values, windows, axis, operator.add)
    return values


@functools.partial(jax.jit, static_argnums=1)
def moved_sums(inputs: Array, windows: Windows) -> Array:
    """The same sums in the form that is transposed; by doubling where windows are long."""
    values = slices.pad_for_windows(inputs, windows, 0)
    for axis in reversed(range(windows.rank)):
        if is_long(windows, axis):
            values = reduce_axis(shared(values, windows, axis), windows, axis, operator.add)
        else:
            values = tap_sum(values, windows, axis)
    return values
