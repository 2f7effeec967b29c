"""Deformable convolution: d-linear samples at moved positions, then one matrix product."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Inexact

from jaxcnn.geometry import Size, Windows
from jaxcnn.lowering import deform_gather, deform_sorted
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.choices import GPUS, sample_choice
from jaxcnn.lowering.per_platform import PerPlatform
from jaxcnn.lowering.problem import ConvProblem, Typed

SAMPLE_ALGORITHMS = {"gather": deform_gather.sample, "sort": deform_sorted.sample}


def deform_conv(
    inputs: Inexact[Array, "n *spatial in_features"],
    kernel: Inexact[Array, "*kernel_size group_features out_features"],
    offsets: Float[Array, "n *out offset_groups taps axes"],
    mask: Inexact[Array, "n *out offset_groups taps"] | None,
    problem: ConvProblem,
    narrow: Any,
) -> Inexact[Array, "n *out out_features"]:
    """Samples `inputs` under every tap, each moved by its offset, and multiplies by the kernel.

    `narrow` is the dtype that the caller's arrays had before they were widened.
    """
    windows, n = problem.windows, inputs.shape[0]
    places, (groups, taps) = math.prod(windows.output_shape), offsets.shape[-3:-1]
    positions = _tap_positions(windows, offsets.dtype) + offsets.reshape(
        (n, places, groups, taps, windows.rank)
    )
    (samples,) = by_platform(_Sampled(windows.sizes), inputs, positions)
    if mask is not None:
        samples *= mask.reshape((n, places, groups, taps, 1))
    samples = jnp.swapaxes(samples, 2, 3).reshape((n * places, taps, inputs.shape[-1]))
    flat = kernel.reshape((taps, *kernel.shape[-2:]))
    (outputs,) = by_platform(_Product(problem, narrow), samples, flat)
    return outputs.reshape((n, *windows.output_shape, kernel.shape[-1]))


def _tap_positions(windows: Windows, dtype: np.dtype) -> Float[Array, "1 places 1 taps axes"]:
    """Where each tap of each window lies on the input, in pixels, before it is moved."""
    steps = zip(
        windows.output_shape,
        windows.strides,
        windows.padding,
        windows.window_shape,
        windows.dilation,
        strict=True,
    )
    arrays = np if windows.known else jnp
    along = [
        (arrays.arange(o) * s - low)[:, None] + np.arange(k)[None] * d
        for o, s, (low, _), k, d in steps
    ]
    rank, grid = windows.rank, []
    for axis, values in enumerate(along):
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = values.shape
        grid.append(
            arrays.broadcast_to(
                values.reshape(shape), (*windows.output_shape, *windows.window_shape)
            )
        )
    positions = arrays.stack(grid, axis=-1).reshape(
        (1, math.prod(windows.output_shape), 1, math.prod(windows.window_shape), rank)
    )
    return jnp.asarray(positions, dtype)


@dataclasses.dataclass(frozen=True)
class _Sampled(PerPlatform):
    """The d-linear interpolation of each group's channels at the group's positions, 0 outside."""

    sizes: tuple[Size, ...]

    def on(self, platform: str) -> Callable[..., list[Array]]:
        def compute(inputs: Array, positions: Array) -> list[Array]:
            choice = sample_choice(platform, self.sizes, positions)
            return [SAMPLE_ALGORITHMS[choice.algorithm](inputs, self.sizes, positions)]

        return compute

    def outputs(self, operands: Sequence[Typed]) -> list[jax.ShapeDtypeStruct]:
        inputs, positions = operands
        shape = (*positions.shape[:-1], inputs.shape[-1] // positions.shape[2])
        return [jax.ShapeDtypeStruct(shape, inputs.dtype)]


@dataclasses.dataclass(frozen=True)
class _Product(PerPlatform):
    """Contracts taps and channels, each group of channels with its own features.

    Attributes:
      problem: groups and precision.
      narrow: the dtype of the caller's arrays. A GPU keeps 16-bit samples so, between kernels, and
        adds their products up in float32 all the same.
    """

    multiplies = True

    problem: ConvProblem
    narrow: Any

    def on(self, platform: str) -> Callable[..., list[Array]]:
        if platform not in GPUS or jnp.dtype(self.narrow).itemsize > 2:
            return lambda samples, kernel: [_product(samples, kernel, self.problem)]

        def compute(samples: Array, kernel: Array) -> list[Array]:
            narrow = samples.astype(self.narrow), kernel.astype(self.narrow)
            return [_product(*narrow, self.problem).astype(samples.dtype)]

        return compute

    def outputs(self, operands: Sequence[Typed]) -> list[jax.ShapeDtypeStruct]:
        samples, kernel = operands
        dtype = self.problem.preferred_element_type or samples.dtype
        return [jax.ShapeDtypeStruct((samples.shape[0], kernel.shape[-1]), dtype)]


def _product(samples: Array, kernel: Array, problem: ConvProblem) -> Array:
    """Contracts taps and channels, each group of channels with its own features."""
    groups = problem.feature_group_count
    rows, taps, in_features = samples.shape
    samples = samples.reshape((rows, taps, groups, in_features // groups))
    out_features = kernel.shape[-1]
    kernel = kernel.reshape((taps, in_features // groups, groups, out_features // groups))
    outputs = lax.dot_general(
        samples,
        kernel,
        (((1, 3), (0, 1)), ((2,), (2,))),
        precision=problem.precision,
        preferred_element_type=problem.preferred_element_type,
    )
    return jnp.swapaxes(outputs, 0, 1).reshape((rows, out_features))
