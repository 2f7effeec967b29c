"""Convolution, dilation and pooling as functions of arrays, channels last, for any rank.

A call is one compiled program outside `jit` too, but a few for `pool`, whose reducer is the
caller's, `max_unpool`, `stochastic_pool` and the fractional pools. No call looks at numbers that
are on a device, or moves any to it or from it, but for arrays of NumPy that are given; so all work
under `jax.transfer_guard("disallow")`.

`jax.export` takes symbolic batch axes everywhere, and symbolic spatial sizes but for `conv_local`,
the fractional pools, adaptive windows that do not share the size out evenly, and padding that
mirrors or wraps around by what may be more than the image. An image that turns out smaller than a
window gives an empty output, as in `lax`; a lower bound, `constraints=("h >= 32",)`, spares deep
networks the asking, which takes ever longer.

`jax.experimental.jet` has no rules for `jax.custom_jvp` (`jax.nn.relu` raises too), barriers and
loops: it takes convolutions by "direct" or "matmul" whose inputs are neither dilated nor filled,
sums and averages by "window", and what only moves pixels; `jax.jvp` of `jax.jvp` takes everything.

NaN and infinities stay in the windows that hold them. What exceeds the largest number of the dtype
that a function computes in (float32 for averages and norms of 16-bit floats) is infinite. Numbers
below the smallest normal one count as 0 on CPUs, as everywhere in XLA, save where pixels are only
moved.
"""

from jaxcnn.functional.adaptive import (
    adaptive_avg_pool,
    adaptive_max_pool,
    adaptive_max_pool_with_indices,
)
from jaxcnn.functional.blocks import depth_to_space, space_to_depth
from jaxcnn.functional.blur import blur_pool
from jaxcnn.functional.conv import conv
from jaxcnn.functional.conv_transpose import conv_transpose
from jaxcnn.functional.deform import deform_conv
from jaxcnn.functional.depthwise import depthwise_conv, separable_conv
from jaxcnn.functional.dilate import dilate
from jaxcnn.functional.fractional import fractional_max_pool, fractional_max_pool_with_indices
from jaxcnn.functional.general import conv_general_dilated
from jaxcnn.functional.global_pool import global_avg_pool, global_max_pool
from jaxcnn.functional.local import conv_local
from jaxcnn.functional.morphology import grey_dilation, grey_erosion
from jaxcnn.functional.partial import partial_conv
from jaxcnn.functional.patches import fold, unfold
from jaxcnn.functional.plans import plan
from jaxcnn.functional.pool import avg_pool, max_pool, min_pool, sum_pool
from jaxcnn.functional.pool_any import pool
from jaxcnn.functional.pool_norms import logsumexp_pool, lp_pool
from jaxcnn.functional.pyramid import spatial_pyramid_pool
from jaxcnn.functional.resize import resize_conv
from jaxcnn.functional.stochastic import stochastic_pool
from jaxcnn.functional.unpool import max_pool_with_indices, max_unpool

__all__ = [
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "adaptive_max_pool_with_indices",
    "avg_pool",
    "blur_pool",
    "conv",
    "conv_general_dilated",
    "conv_local",
    "conv_transpose",
    "deform_conv",
    "depth_to_space",
    "depthwise_conv",
    "dilate",
    "fold",
    "fractional_max_pool",
    "fractional_max_pool_with_indices",
    "global_avg_pool",
    "global_max_pool",
    "grey_dilation",
    "grey_erosion",
    "logsumexp_pool",
    "lp_pool",
    "max_pool",
    "max_pool_with_indices",
    "max_unpool",
    "min_pool",
    "partial_conv",
    "plan",
    "pool",
    "resize_conv",
    "separable_conv",
    "space_to_depth",
    "spatial_pyramid_pool",
    "stochastic_pool",
    "sum_pool",
    "unfold",
]
