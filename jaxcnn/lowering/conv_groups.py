"""Grouped convolution as one convolution for each group.

XLA's CPU compiler has no fast path for groups; it has one for the convolution of a single group,
which reaches no other group's channels. A few groups are sliced out, convolved and laid side by
side. Many are an axis that a scan goes along, so that one convolution is compiled for all of them,
at the price of that axis being moved to the front and back.

Predicted was a loss against blocks of groups made dense (`conv_blocks`) below 32 channels a group,
for the fast path is slow with few channels. Measured by turns on two busy cores, float32, 3x3, ms
blocks / so, the least of several: with 16 groups of 8 on 8 images of 32x32, forward and backward,
125 / 92 on JAX 0.10.2 and 186 / 41 on 0.12; with 32 groups of 16 on 8 of 14x14 forward 27 / 36, the
gradients 44 / 29 and 45 / 44; with 8 groups of 16 on 16 of 28x28 34 / 26. Only below 8 channels is
it slower (32 groups of 4: 156 / 276), and there `conv_taps` isn't. Compiling takes a third as long,
0.6 s of CPU in place of 1.4, since a scan has one group's program. Up to 8 groups, one by one are
faster by a tenth to a half, and compile in about the same time.
"""

import dataclasses

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Num

from jaxcnn.lowering.problem import ConvProblem, Inner, Typed

UNROLLED = 8  # up to so many groups are convolutions of their own


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
    """Cross-correlates group by group, by `inner`, and lays their features in a row."""
    groups = problem.feature_group_count
    own = dataclasses.replace(problem, feature_group_count=1)
    if groups <= UNROLLED:
        parts = zip(
            jnp.split(inputs, groups, axis=-1), jnp.split(kernel, groups, axis=-1), strict=True
        )
        return jnp.concatenate([inner(x, k, own) for x, k in parts], axis=-1)
    parts = tuple(
        jnp.moveaxis(a.reshape((*a.shape[:-1], groups, a.shape[-1] // groups)), -2, 0)
        for a in (inputs, kernel)
    )

    def one(carry: None, part: tuple[Array, ...]) -> tuple[None, Array]:
        pixels, taps = part
        return carry, inner(pixels, taps, own)

    _, outputs = lax.scan(one, None, parts)
    outputs = jnp.moveaxis(outputs, 0, -2)
    return outputs.reshape((*outputs.shape[:-2], kernel.shape[-1]))
