"""Grouped convolution as a few dense ones.

"auto" never takes it: 0 * NaN is NaN, and so what is no number in one group reaches the outputs and
the gradients of those in its block. `conv_groups` and `conv_taps` keep groups apart.

XLA's CPU compiler has no fast path for groups. Taking b neighbouring groups together, with a kernel
that is zero between channels of different groups,

    dense[a, (q, c), (r, o)] = kernel[a, c, (r, o)] if q = r else 0,

gives a dense convolution of b times as many products, but on the fast path. With blocks of about 32
input channels the products wasted cost less than the path gained: 32 groups of 4 channels took 236
ms forward and backward as one dense convolution, 64 in blocks, 8216 as XLA's own (JAX 0.10.2).
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxcnn.lowering.problem import ConvProblem, Inner, Typed

BLOCK_CHANNELS = 32


def unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem."""
    if problem.feature_group_count == 1:
        return "takes two groups of channels or more, not 1"
    return None


def conv(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
    inner: Inner,
) -> Num[Array, "n *out out_features"]:
    """Cross-correlates block by block of groups, by `inner`, and lays their features in a row."""
    groups = problem.feature_group_count
    per_group, features = kernel.shape[-2], kernel.shape[-1] // groups
    joined = max(b for b in range(1, groups + 1) if groups % b == 0 and _fits(b, per_group))
    dense = dataclasses.replace(problem, feature_group_count=1)
    same_group = jnp.eye(joined, dtype=bool)[:, None, :, None]
    outputs = []
    for block in range(groups // joined):
        channels = joined * per_group
        pixels = inputs[..., block * channels : (block + 1) * channels]
        taps = kernel[..., block * joined * features : (block + 1) * joined * features]
        taps = taps.reshape((*kernel.shape[:-2], 1, per_group, joined, features))
        taps = jnp.where(same_group, taps, jnp.zeros((), kernel.dtype))
        taps = taps.reshape((*kernel.shape[:-2], channels, joined * features))
        outputs.append(inner(pixels, taps, dense))
    return jnp.concatenate(outputs, axis=-1)


def _fits(joined: int, per_group: int) -> bool:
    """Whether so many groups together stay within a block."""
    return joined == 1 or joined * per_group <= BLOCK_CHANNELS
