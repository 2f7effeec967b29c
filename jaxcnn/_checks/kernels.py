"""Checks that every function with a kernel shares: its shape, its groups, its bias."""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxcnn import geometry
from jaxcnn._checks.dtypes import common_dtype
from jaxcnn.lowering.problem import Typed


def kernel_sizes(kernel: Typed, argument: str = "kernel") -> tuple[int, ...]:
    """Returns the spatial part of a kernel's shape, which may hold no empty axis.

    Raises:
      ValueError: a tap or a feature count is 0.
    """
    if 0 in kernel.shape:
        raise ValueError(
            f"`{argument}` must have no empty axis; received {argument} {kernel.shape}"
        )
    return kernel.shape[:-2]


def with_spatial_axes(kernel: Typed) -> None:
    """Refuses a kernel that has channels alone."""
    if kernel.ndim < 3:
        raise ValueError(
            "`kernel` must be (*kernel_size, in_features / feature_group_count, out_features) with "
            f"at least one spatial axis; received kernel {kernel.shape}"
        )


def channel_groups(inputs: Typed, kernel: Typed, feature_group_count: int) -> int:
    """Returns the number of groups if the channels of inputs and kernel agree with it.

    Raises:
      ValueError: a count does not divide, or the kernel's input channels are others.
    """
    groups = geometry.whole_number("feature_group_count", feature_group_count, 1)
    received = f"received inputs {inputs.shape}, kernel {kernel.shape}"
    channels, (per_group, features) = inputs.shape[-1], kernel.shape[-2:]
    for name, count in (("in_features", channels), ("out_features", features)):
        if count % groups:
            raise ValueError(
                f"`feature_group_count` (={groups}) must divide `{name}` (={count}); {received}"
            )
    if per_group * groups != channels:
        raise ValueError(
            f"`kernel` must have in_features / feature_group_count = "
            f"{channels // groups} input channels, got {per_group}; {received}"
        )
    return groups


def sum_dtype(
    outputs: Typed, bias: Typed | None, preferred_element_type: DTypeLike | None
) -> jnp.dtype:
    """The dtype of outputs and a bias together; who asked for one asked for its promotion too."""
    if bias is None:
        return outputs.dtype
    if preferred_element_type is None:
        return common_dtype(bias=bias, outputs=outputs)
    with jax.numpy_dtype_promotion("standard"):
        return common_dtype(bias=bias, outputs=outputs)


def vector(bias: Typed | None, features: int) -> None:
    """Refuses a bias that is no vector of one entry per output feature."""
    if bias is not None and bias.shape != (features,):
        raise ValueError(
            f"`bias` must be ({features},), one entry per output feature; "
            f"received bias {bias.shape}"
        )
