"""Which algorithm computes what: the one place that chooses.

| problem (CPU)                                        | algorithm | why                          |
|------------------------------------------------------|-----------|------------------------------|
| depthwise, at most `SHIFT_TAPS` taps                 | shift     | see `conv_shift`             |
| anything else                                        | direct    |                              |
"""

import math
from types import ModuleType

import jax
from jaxtyping import Array, Num

from jaxcnn.lowering import conv_direct, conv_shift
from jaxcnn.lowering.problem import ConvProblem

CONV_ALGORITHMS: dict[str, ModuleType] = {"direct": conv_direct, "shift": conv_shift}

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
