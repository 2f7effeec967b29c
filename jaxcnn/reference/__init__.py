"""Every primitive in plain NumPy float64, and beside it its gradient derived by hand.

Nothing here imports JAX. The forwards are explicit sums over windows, written to be read; each
`*_vjp` says in its docstring, index by index, how its gradient follows from that sum.
"""

from jaxcnn.reference.adaptive import (
    adaptive_avg_pool,
    adaptive_avg_pool_vjp,
    adaptive_max_pool,
    adaptive_max_pool_vjp,
    adaptive_max_pool_with_indices,
    adaptive_max_pool_with_indices_vjp,
)
from jaxcnn.reference.blocks import (
    depth_to_space,
    depth_to_space_vjp,
    space_to_depth,
    space_to_depth_vjp,
)
from jaxcnn.reference.blur import blur_pool, blur_pool_vjp
from jaxcnn.reference.conv import conv, conv_vjp
from jaxcnn.reference.conv_transpose import conv_transpose, conv_transpose_vjp
from jaxcnn.reference.deform import deform_conv, deform_conv_vjp
from jaxcnn.reference.depthwise import (
    depthwise_conv,
    depthwise_conv_vjp,
    separable_conv,
    separable_conv_vjp,
)
from jaxcnn.reference.dilate import dilate, dilate_vjp
from jaxcnn.reference.fractional import (
    fractional_max_pool,
    fractional_max_pool_vjp,
    fractional_max_pool_with_indices,
    fractional_max_pool_with_indices_vjp,
)
from jaxcnn.reference.global_pool import (
    global_avg_pool,
    global_avg_pool_vjp,
    global_max_pool,
    global_max_pool_vjp,
)
from jaxcnn.reference.local import conv_local, conv_local_vjp
from jaxcnn.reference.morphology import (
    grey_dilation,
    grey_dilation_vjp,
    grey_erosion,
    grey_erosion_vjp,
)
from jaxcnn.reference.partial import partial_conv, partial_conv_vjp
from jaxcnn.reference.patches import fold, fold_vjp, unfold, unfold_vjp
from jaxcnn.reference.pool import (
    avg_pool,
    avg_pool_vjp,
    max_pool,
    max_pool_vjp,
    min_pool,
    min_pool_vjp,
    sum_pool,
    sum_pool_vjp,
)
from jaxcnn.reference.pool_any import pool, pool_vjp
from jaxcnn.reference.pool_norms import logsumexp_pool, logsumexp_pool_vjp, lp_pool, lp_pool_vjp
from jaxcnn.reference.pyramid import spatial_pyramid_pool, spatial_pyramid_pool_vjp
from jaxcnn.reference.resize import resize_conv, resize_conv_vjp
from jaxcnn.reference.stochastic import stochastic_pool, stochastic_pool_vjp
from jaxcnn.reference.unpool import (
    max_pool_with_indices,
    max_pool_with_indices_vjp,
    max_unpool,
    max_unpool_vjp,
)

__all__ = [
    "adaptive_avg_pool",
    "adaptive_avg_pool_vjp",
    "adaptive_max_pool",
    "adaptive_max_pool_vjp",
    "adaptive_max_pool_with_indices",
    "adaptive_max_pool_with_indices_vjp",
    "avg_pool",
    "avg_pool_vjp",
    "blur_pool",
    "blur_pool_vjp",
    "conv",
    "conv_local",
    "conv_local_vjp",
    "conv_transpose",
    "conv_transpose_vjp",
    "conv_vjp",
    "deform_conv",
    "deform_conv_vjp",
    "depth_to_space",
    "depth_to_space_vjp",
    "depthwise_conv",
    "depthwise_conv_vjp",
    "dilate",
    "dilate_vjp",
    "fold",
    "fold_vjp",
    "fractional_max_pool",
    "fractional_max_pool_vjp",
    "fractional_max_pool_with_indices",
    "fractional_max_pool_with_indices_vjp",
    "global_avg_pool",
    "global_avg_pool_vjp",
    "global_max_pool",
    "global_max_pool_vjp",
    "grey_dilation",
    "grey_dilation_vjp",
    "grey_erosion",
    "grey_erosion_vjp",
    "logsumexp_pool",
    "logsumexp_pool_vjp",
    "lp_pool",
    "lp_pool_vjp",
    "max_pool",
    "max_pool_vjp",
    "max_pool_with_indices",
    "max_pool_with_indices_vjp",
    "max_unpool",
    "max_unpool_vjp",
    "min_pool",
    "min_pool_vjp",
    "partial_conv",
    "partial_conv_vjp",
    "pool",
    "pool_vjp",
    "resize_conv",
    "resize_conv_vjp",
    "separable_conv",
    "separable_conv_vjp",
    "space_to_depth",
    "space_to_depth_vjp",
    "spatial_pyramid_pool",
    "spatial_pyramid_pool_vjp",
    "stochastic_pool",
    "stochastic_pool_vjp",
    "sum_pool",
    "sum_pool_vjp",
    "unfold",
    "unfold_vjp",
]
