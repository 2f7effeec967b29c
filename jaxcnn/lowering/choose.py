"""Which algorithm computes what: the one place that chooses."""

from types import ModuleType

from jaxtyping import Array, Num

from jaxcnn.lowering import conv_direct
from jaxcnn.lowering.problem import ConvProblem

CONV_ALGORITHMS: dict[str, ModuleType] = {"direct": conv_direct}


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
    name = "direct" if algorithm == "auto" else algorithm
    chosen = CONV_ALGORITHMS[name]
    reason = chosen.unsupported(problem)
    if reason is not None:
        raise ValueError(f"{function}: `algorithm` (={algorithm!r}) {reason}; use 'auto'")
    return chosen.conv(inputs, kernel, problem)
