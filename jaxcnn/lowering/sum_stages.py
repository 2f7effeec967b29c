"""Sums of large windows as XLA's own `reduce_window`, one axis after the other.

One pass over a window of 13x13 reads 169 elements for each output, and 169 again in the backward
pass: on a GPU the loads take longer than moving the arrays. The rows' sums and then the sums of
these are 26, for one more array to write and read. Compiled for an H100, 32 images of 32x32x64,
13x13, forward and backward, float32: 4 kernels and 67 MB, for 3 and 50 in one pass, whose loads are
6.5 times as many. Windows of few taps go in one pass here too.
"""

from jaxtyping import Array, Num

from jaxcnn.geometry import Windows
from jaxcnn.lowering.pool_stages import stages
from jaxcnn.lowering.sum_window import sum_pool as in_one_pass

MOST_TAPS = 49  # in one pass


def sum_pool(
    inputs: Num[Array, "n *spatial channels"], windows: Windows
) -> Num[Array, "n *out channels"]:
    """Adds up each window; the padding counts as 0."""
    sums = inputs
    for part in stages(windows, MOST_TAPS):
        sums = in_one_pass(sums, part)
    return sums


moved_sums = sum_pool
