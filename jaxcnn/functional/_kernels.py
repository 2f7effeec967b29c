"""Checks that every function with a kernel shares: its shape, its groups, its fill, its bias."""

import jax
from jax.typing import DTypeLike
from jaxtyping import Array

from jaxcnn import geometry
from jaxcnn.functional import _arguments
from jaxcnn.lowering.dtypes import spread


def kernel_sizes(function: str, kernel: Array, argument: str = "kernel") -> tuple[int, ...]:
    """Returns the spatial part of a kernel's shape, which may hold no empty axis.

    Raises:
      ValueError: a tap or a feature count is 0.
    """
    if 0 in kernel.shape:
        raise ValueError(
            f"{function}: `{argument}` must have no empty axis; received {argument} {kernel.shape}"
        )
    return kernel.shape[:-2]


def channel_groups(function: str, inputs: Array, kernel: Array, feature_group_count: int) -> int:
    """Returns the number of groups if the channels of inputs and kernel agree with it.

    Raises:
      ValueError: a count does not divide, or the kernel's input channels are others.
    """
    groups = geometry.whole_number(function, "feature_group_count", feature_group_count, 1)
    received = f"received inputs {inputs.shape}, kernel {kernel.shape}"
    channels, (per_group, features) = inputs.shape[-1], kernel.shape[-2:]
    for name, count in (("in_features", channels), ("out_features", features)):
        if count % groups:
            raise ValueError(
                f"{function}: `feature_group_count` (={groups}) must divide `{name}` (={count}); "
                f"{received}"
            )
    if per_group * groups != channels:
        raise ValueError(
            f"{function}: `kernel` must have in_features / feature_group_count = "
            f"{channels // groups} input channels, got {per_group}; {received}"
        )
    return groups


def add_bias(
    function: str, outputs: Array, bias: object, preferred_element_type: DTypeLike | None = None
) -> Array:
    """Adds one number per output feature; the result has the common dtype."""
    if bias is None:
        return outputs
    vector = _arguments.bias_vector(function, bias, outputs.shape[-1])
    vector, outputs = bias_and_outputs(function, vector, outputs, preferred_element_type)
    return outputs + spread(vector, outputs)


def bias_and_outputs(
    function: str, bias: Array, outputs: Array, preferred_element_type: DTypeLike | None
) -> tuple[Array, ...]:
    """Promotes both to one dtype; who asked for another dtype than the arrays' asked for that."""
    if preferred_element_type is None:
        return _arguments.same_dtype(function, bias=bias, outputs=outputs)
    with jax.numpy_dtype_promotion("standard"):
        return _arguments.same_dtype(function, bias=bias, outputs=outputs)
