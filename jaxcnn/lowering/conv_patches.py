"""Sums over windows as one matrix product with the windows laid out as rows (im2col)."""

import math

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Num

from jaxcnn.geometry import Windows
from jaxcnn.lowering import slices
from jaxcnn.lowering.problem import ConvProblem


def rows(
    inputs: Num[Array, "n *spatial in_features"], windows: Windows
) -> Num[Array, "n places columns"]:
    """Lays each window out as a row of taps x channels, the taps in row-major order."""
    padded = slices.pad_for_windows(inputs, windows, 0)
    pixels = jnp.concatenate([pixel for _, pixel in slices.tap_slices(padded, windows)], axis=-1)
    return pixels.reshape((pixels.shape[0], math.prod(windows.output_shape), pixels.shape[-1]))


def conv_local(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*out_and_kernel_size in_features out_features"],
    problem: ConvProblem,
) -> Num[Array, "n *out out_features"]:
    """Multiplies the rows of each place by the kernel of that place: one batched product.

    The rows take prod(k) times the memory of the inputs; the kernel, which must be read anyway,
    takes out_features / n times as much as the rows.
    """
    windows = problem.windows
    patches = rows(inputs, windows)
    outputs = lax.dot_general(
        patches,
        kernel.reshape((*patches.shape[1:], kernel.shape[-1])),
        (((2,), (1,)), ((1,), (0,))),
        precision=problem.precision,
        preferred_element_type=problem.preferred_element_type,
    )
    outputs = jnp.swapaxes(outputs, 0, 1)
    return outputs.reshape((inputs.shape[0], *windows.output_shape, kernel.shape[-1]))
