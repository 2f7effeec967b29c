"""Convolution as XLA's own: the form that every option reaches and all others are held against."""

from jax import lax
from jaxtyping import Array, Num

from jaxcnn.lowering import xla_conv
from jaxcnn.lowering.problem import ConvProblem, Typed


def unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem: it takes all."""
    return None


def conv(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
) -> Num[Array, "n *out out_features"]:
    """Cross-correlates by one convolution of XLA's, channels last."""
    windows = problem.windows
    return xla_conv.convolve(
        inputs,
        kernel,
        windows.strides,
        windows.padding,
        input_dilation=windows.input_dilation,
        kernel_dilation=windows.dilation,
        numbers=channels_last(windows.rank),
        feature_group_count=problem.feature_group_count,
        precision=problem.precision,
        preferred_element_type=problem.preferred_element_type,
    )


def channels_last(rank: int) -> lax.ConvDimensionNumbers:
    """Dimension numbers of (n, *spatial, channels) with kernels (*kernel_size, in, out)."""
    activations = (0, rank + 1, *range(1, rank + 1))
    return lax.ConvDimensionNumbers(activations, (rank + 1, rank, *range(rank)), activations)
