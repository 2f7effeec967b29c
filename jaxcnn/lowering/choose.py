"""Which algorithm computes what: the one place that chooses.

| problem (CPU)                                        | algorithm | why                          |
|------------------------------------------------------|-----------|------------------------------|
| depthwise, at most `SHIFT_TAPS` taps                 | shift     | see `conv_shift`             |
| anything else                                        | direct    |                              |
"""

import math
import operator
from types import ModuleType

import jax
from jaxtyping import Array, Num, Shaped

from jaxcnn.geometry import Windows
from jaxcnn.lowering import conv_direct, conv_shift, pool_shift, pool_window, sum_shift, sum_window
from jaxcnn.lowering.problem import ConvProblem

CONV_ALGORITHMS: dict[str, ModuleType] = {"direct": conv_direct, "shift": conv_shift}
MAX_POOL_ALGORITHMS: dict[str, ModuleType] = {"shift": pool_shift, "window": pool_window}
SUM_POOL_ALGORITHMS: dict[str, ModuleType] = {"shift": sum_shift, "window": sum_window}

SHIFT_TAPS = 81  # each tap is an operation of its own: more of them compile slowly


def conv(
    function: str,
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
    algorithm: str,
) -> Num[Array, "n *out out_features"]:
    """Computes a convolution by the algorithm named, or by the one chosen for "auto".

    Raises:
      ValueError: the algorithm named can't take the problem; the message says why.
    """
    name = _conv_algorithm(inputs, kernel, problem) if algorithm == "auto" else algorithm
    chosen = CONV_ALGORITHMS[name]
    reason = chosen.unsupported(inputs, kernel, problem)
    if reason is not None:
        raise ValueError(f"{function}: `algorithm` (={algorithm!r}) {reason}; use 'auto'")
    return chosen.conv(inputs, kernel, problem)


def _conv_algorithm(inputs: Array, kernel: Array, problem: ConvProblem) -> str:
    """The algorithm that "auto" stands for, from the platform and what is static."""
    if jax.default_backend() != "cpu":
        return "direct"
    if conv_shift.unsupported(inputs, kernel, problem) is None and inputs.shape[-1] > 1:
        if math.prod(problem.windows.window_shape) <= SHIFT_TAPS:
            return "shift"
    return "direct"


def max_pool(
    function: str,
    inputs: Shaped[Array, "n *spatial channels"],
    windows: Windows,
    largest: bool,
    algorithm: str,
) -> Shaped[Array, "n *out channels"]:
    """Computes a max pool, or a min pool, by the algorithm named or by the one for "auto"."""
    name = "shift" if algorithm == "auto" else algorithm
    return MAX_POOL_ALGORITHMS[name].max_pool(inputs, windows, largest)


def sum_pool(
    function: str, inputs: Num[Array, "n *spatial channels"], windows: Windows, algorithm: str
) -> Num[Array, "n *out channels"]:
    """Computes a sum pool by the algorithm named or by the one for "auto"."""
    name = _sum_pool_algorithm(windows) if algorithm == "auto" else algorithm
    return SUM_POOL_ALGORITHMS[name].sum_pool(inputs, windows)


def _sum_pool_algorithm(windows: Windows) -> str:
    """XLA's own where no two windows share a pixel; shifted sums where they do."""
    overlap = any(map(operator.gt, windows.effective_shape, windows.strides))
    return "shift" if overlap else "window"
