"""Convolution as XLA's own: the form that every option reaches and all others are held against."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Num

from jaxcnn.lowering.problem import ConvProblem


def unsupported(inputs: Array, kernel: Array, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem: it takes all."""
    return None


def conv(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
) -> Num[Array, "n *out out_features"]:
    """Cross-correlates by one `lax.conv_general_dilated`, channels last.

    On a CPU a dilated input is dilated first, behind a barrier. Given to XLA as `lhs_dilation`, it
    aborts the process for some small inputs, in the convolution or in the gradient for the kernel:
    inputs (2, 3, 1, 1) dilated by 2, kernel (2, 2, 1, 2), padding ((0, 0), (2, 2)) (XLA of JAX
    0.10.2 and 0.12: a check fails where the algebraic simplifier exchanges the operands).
    """
    windows = problem.windows
    rates = windows.input_dilation
    if max(rates) > 1 and jax.default_backend() == "cpu":
        apart = ((0, 0, 0), *((0, 0, rate - 1) for rate in rates), (0, 0, 0))
        inputs = lax.optimization_barrier(lax.pad(inputs, jnp.zeros((), inputs.dtype), apart))
        rates = (1,) * windows.rank
    return lax.conv_general_dilated(
        inputs,
        kernel,
        window_strides=windows.strides,
        padding=windows.padding,
        lhs_dilation=rates,
        rhs_dilation=windows.dilation,
        dimension_numbers=channels_last(windows.rank),
        feature_group_count=problem.feature_group_count,
        precision=problem.precision,
        preferred_element_type=problem.preferred_element_type,
    )


def channels_last(rank: int) -> lax.ConvDimensionNumbers:
    """Dimension numbers of (n, *spatial, channels) with kernels (*kernel_size, in, out)."""
    activations = (0, rank + 1, *range(1, rank + 1))
    return lax.ConvDimensionNumbers(activations, (rank + 1, rank, *range(rank)), activations)
