"""Which algorithm computes what: the one place that chooses.

| problem (CPU)                                        | algorithm | why                          |
|------------------------------------------------------|-----------|------------------------------|
| dilated input, at most `PHASE_RUNS` runs of phases   | phases    | see `conv_phases`            |
| depthwise, at most `SHIFT_TAPS` taps                 | shift     | see `conv_shift`             |
| depthwise, more taps                                 | taps      | see `conv_taps`              |
| groups of few channels and features                  | taps      | likewise                     |
| groups                                               | groups    | see `conv_groups`            |
| one tap                                              | matmul    | see `conv_matmul`            |
| one or two spatial axes                              | canonical | see `conv_canonical`         |
| more spatial axes, at most `PLANE_TAPS` between them | planes    | see `conv_planes`            |
| anything else                                        | direct    |                              |
| max or min pool, a long window along an axis         | tree      | see `pool_tree`              |
| max or min pool                                      | shift     | see `pool_shift`             |
| average or sum pool, no two windows share a pixel    | window    | see `sum_window`             |
| average or sum pool                                  | shift     | see `sum_shift`              |
| adaptive pool, its windows alike and overlapping     | a pool's  | see `_sliding`               |
| adaptive pool                                        | adaptive  | see `adaptive`               |

None of these makes a product with a zero that stands for another group's channel, or a sum of more
than a window holds: the error of each output is bounded by what its own window holds, and a NaN
reaches no other. `conv_fft` and `conv_blocks` are not so, and run only if asked for by name.

| convolution (GPU)                                    | algorithm | why                          |
|------------------------------------------------------|-----------|------------------------------|
| dilated input, strides of 1                          | adjoint   | see `conv_adjoint`           |
| depthwise, few taps                                  | slices    | see `conv_slices`            |
| dilated kernel along one axis, which it divides      | fold      | see `conv_fold`              |
| dilated kernel                                       | spread    | see `conv_spread`            |
| anything else                                        | direct    | cuDNN, three calls a step    |

The bytes and kernels that say so are those of programs compiled for an H100. One tap as a product
of matrices was tried for a GPU too: 4 kernels in place of 5, but 219 MB in place of 203 (256 to 256
channels, 32 images of 32x32, float32), for the sum over pixels is made in parts.

| convolution (TPU)                                    | algorithm | why                          |
|------------------------------------------------------|-----------|------------------------------|
| depthwise, several features a channel                | repeat    | see `conv_repeat`            |
| up to eight groups of 32 channels or more            | groups    | 0.30 to 0.71 of XLA's own    |
| dilated input, strides of 1, groups                  | adjoint   | 0.74 of it                   |
| anything else                                        | direct    | the compiler's own forms     |

The ratios are of the cycles of a v5e's schedules, bfloat16, forward and backward: 1x1 with 4 groups
of 64 channels 136 thousand for 453, 5x5 with 2 of 48 285 for 403, 4x4 transposed with 4 of 16 299
for 404. By the compiler's estimates, which are made before it has a schedule, "adjoint" without
groups is 1.07 times XLA's own, "slices" for 3x3 depthwise 3.6 times; group by group 8 groups of 8
are 1.36 times, 32 of 4 1.16 times.

| pool                                      | GPU     | TPU      | why                             |
|-------------------------------------------|---------|----------|---------------------------------|
| max or min                                | at_once | as a CPU | see `pool_at_once`, `_native`   |
| max or min, one axis, not dilated         | at_once | native   | see `pool_native`               |
| max or min, overlapping, small arrays     | at_once | native   | see `max_pool_choice`           |
| max or min, above `AT_ONCE_TAPS` an axis  | tree    | as a CPU | each tap takes long to compile  |
| average or sum, at most `SUM_TAPS` taps   | window  | as a CPU | moves each array once           |
| average or sum, more taps                 | stages  | as a CPU | see `sum_stages`                |
| log-sum-exp                               | at_once | shift    | see `logsumexp_at_once`         |

Sums of overlapping windows by slices take, by the schedule of a v5e's compiler, 0.25 to 0.7 of the
cycles of `reduce_window` (3x3: 464 thousand for 1,572), and more bytes.

All of it by what the compilers make of it; nothing has been measured on a GPU or a TPU.

On a mesh of devices (`halo`) all of this holds for the part of each device.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxcnn import geometry
from jaxcnn.geometry import Size, Windows, are_known, surely_below
from jaxcnn.lowering import conv_groups, conv_phases, unpool_tiles
from jaxcnn.lowering.conv_by_name import CONV_ALGORITHMS
from jaxcnn.lowering.pool_stages import stages
from jaxcnn.lowering.problem import ConvProblem, Typed
from jaxcnn.lowering.reduce_axis import is_long
from jaxcnn.lowering.sum_stages import MOST_TAPS as SUM_TAPS

GPUS = ("cuda", "rocm")
ACCELERATORS = (*GPUS, "tpu")

PHASE_RUNS = 32  # each run is a convolution of its own: more of them compile slowly
PLANE_TAPS = 49  # likewise
SHIFT_TAPS = 81  # likewise, each tap is an operation
AT_ONCE_TAPS = 64  # along an axis, likewise
UNPOOL_TAPS = 25  # likewise, each tap is an operation
BLUR_TAPS = 25  # likewise, each tap is a load
FEW_PRODUCTS = 32  # of a pixel within a group, below which no matrix product pays

# A GPU's shifted slices: loads of so many taps hide behind the memory, and with more taps so many
# in all take no longer than the launches that they save; each term is an operation.
FREE_TAPS, CACHED_LOADS, SLICE_TERMS = 9, 2**24, 49

# A TPU: channels of a group that fill its lanes well enough; taps up to which its own windows were
# compiled for arrays that fit on the chip, and bytes that do; taps of a fold, each an operation.
WIDE_GROUP, NATIVE_TAPS, ON_CHIP, LANES, FOLD_TAPS = 32, 9, 2**24, 128, 49


class Choice(NamedTuple):
    """An algorithm by its name, and in a few words why it is taken."""

    algorithm: str
    why: str


# algorithms in the order in which they are tried, and whether each pays
InTurn = dict[Choice, Callable[[], bool]]


def conv_choice(platform: str, inputs: Typed, kernel: Typed, problem: ConvProblem) -> Choice:
    """What "auto" stands for on a platform, from what has the shapes and dtypes of the arrays."""
    on = CONVOLUTIONS.get(platform)
    for choice, pays in on(inputs, kernel, problem).items() if on else ():
        algorithm = CONV_ALGORITHMS[choice.algorithm]
        if algorithm.unsupported(inputs, kernel, problem) is None and pays():
            return choice
    return Choice("direct", "one convolution of XLA's, whose gradients are convolutions")


def _conv_on_gpu(inputs: Typed, kernel: Typed, problem: ConvProblem) -> InTurn:
    """What is tried for on a GPU, by the memory moved and the kernels launched."""
    windows, pixels = problem.windows, inputs.shape[0] * math.prod(problem.windows.output_shape)
    undilated, taps = max(windows.dilation) == 1, math.prod(windows.window_shape)
    terms = taps * (kernel.shape[-1] // problem.feature_group_count)
    loads = pixels * kernel.shape[-1] * taps
    cached = taps <= FREE_TAPS or surely_below(loads, CACHED_LOADS)

    return {
        Choice("adjoint", "the gradient of a strided convolution: nothing dilated"): lambda: (
            undilated
        ),
        Choice("slices", "one channel a group: shifted slices, one kernel each way"): lambda: (
            terms <= SLICE_TERMS and cached
        ),
        Choice("fold", "pixels as far apart as the taps in columns: no dilation"): lambda: True,
        Choice("spread", "a gradient for each place of a dilated kernel: no copies"): lambda: True,
    }


def _conv_on_tpu(inputs: Typed, kernel: Typed, problem: ConvProblem) -> InTurn:
    """What is tried for on a TPU, by the cycles that its compiler estimates."""
    groups, per_group = problem.feature_group_count, kernel.shape[-2]
    undilated = max(problem.windows.dilation) == 1
    return {
        Choice("repeat", "as many channels as features: fast, and copies are not"): lambda: True,
        Choice("groups", "a few wide groups, each as fast as one alone"): lambda: (
            groups <= conv_groups.UNROLLED and per_group >= WIDE_GROUP
        ),
        Choice("adjoint", "the gradient of a strided convolution of groups"): lambda: (
            groups > 1 and per_group > 1 and undilated
        ),
    }


def _conv_on_cpu(inputs: Typed, kernel: Typed, problem: ConvProblem) -> InTurn:
    """What is tried for on a CPU."""
    windows = problem.windows
    taps = math.prod(windows.window_shape)
    planes = math.prod(windows.window_shape[:-2])
    features = kernel.shape[-1] // problem.feature_group_count
    few = kernel.shape[-2] == 1 or kernel.shape[-2] * features < FEW_PRODUCTS
    several = inputs.shape[-1] > 1
    return {
        Choice("phases", "leaves out the zeros between pixels"): lambda: (
            conv_phases.run_count(windows) <= PHASE_RUNS
        ),
        Choice("shift", "one channel a group: shifted slices"): lambda: (
            several and taps <= SHIFT_TAPS
        ),
        Choice("taps", "few channels a group: shifted slices, some taps at a time"): lambda: (
            several and few
        ),
        Choice("groups", "XLA has a fast path for one group, and none for several"): lambda: True,
        Choice("matmul", "one tap: a product of matrices"): lambda: True,
        Choice("canonical", "XLA's fast path, for the gradients too"): lambda: True,
        Choice("planes", "XLA has a fast path for planes, and none for more axes"): lambda: (
            planes <= PLANE_TAPS
        ),
    }


CONVOLUTIONS = {
    "cpu": _conv_on_cpu,
    "cuda": _conv_on_gpu,
    "rocm": _conv_on_gpu,
    "tpu": _conv_on_tpu,
}


def channels_last_pays(platform: str, algorithm: str) -> bool:
    """Whether a convolution with axes in another order is best transposed to channels last.

    `algorithm` is the one that it has there. On a GPU that is where it has one of its own, for XLA
    transposes to channels last there too. Compiled for an H100, 4x4 transposed with strides 2, 128
    to 64 channels on 16 images of 16x16: 12 kernels and 77 MB as they lie, 10 and 49 so; 3x3
    depthwise, 128 channels on 32 images of 32x32: 8 and 235, 2 and 134.

    On a CPU, whose fast path and algorithms are those of channels last. Predicted: the transposes
    cost less than they gain. Measured with channels first, two busy cores, float32, JAX 0.10.2,
    forward and backward, the least of seven, ms of XLA's own and so, once / two steps of a scan:

        3x3, 32 to 64 channels, 16x28x28       194 and 118     3198 and 255
        the same with stride 2                  39 and  32     1018 and  77
        5x5, 3 to 32 channels, 16x32x32         18 and  13      504 and  44
        3x3, 64 channels, depthwise, 8x28x28   231 and  44      876 and 110
        3x3, 64 channels in 8 groups          3849 and  64      851 and 219
        1x1, 64 to 128 channels                 34 and  28      841 and 113
        7x7 with stride 2, 3 channels, 4x64x64 3.6 and 3.4      763 and  24
        3x3, 64 channels, one image            2.9 and  11      634 and  16
    """
    return platform == "cpu" or (platform in GPUS and algorithm != "direct")


def max_pool_choice(platform: str, windows: Windows, inputs: Typed) -> Choice:
    """What "auto" stands for in a max or min pool.

    On a TPU its own windows win where all is on the chip at once. Compiled for a v5e, bfloat16,
    forward and backward, thousand cycles of the schedule, native and by slices:

        3x3 strides 2, 32 images of 13x13x256    22 and 32     3x3, 32 of 14x14x256    47 and 76
        3x3 strides 2, 32 of 28x28x64            64 and 90     2x2 strides 2, 8x8x64    8 and 5
        3x3 strides 2, 64 of 32x32x64           636 and 488
    """
    if platform in GPUS:
        if windows.known and max(windows.window_shape) > AT_ONCE_TAPS:
            return Choice("tree", "long windows: by doubling")
        return Choice("at_once", "all taps in one kernel, which moves each array once")
    if platform == "tpu" and windows.rank == 1 and max(windows.dilation) == 1:
        return Choice("native", "one axis: reductions and select-and-scatter are built in")
    if platform == "tpu" and _native_pays(windows, inputs):
        return Choice("native", "all on the chip at once: select-and-scatter is built in")
    if windows.known and any(is_long(windows, axis) for axis in range(windows.rank)):
        return Choice("tree", "long windows: by doubling")
    return Choice("shift", "selects over shifted slices, whose gradient scatters nothing")


def _native_pays(windows: Windows, inputs: Typed) -> bool:
    """Whether small windows overlap in an array that fits on a TPU's chip, in float32."""
    if windows.rank > 2 or max(windows.dilation) > 1 or not are_known(*inputs.shape):
        return False
    overlap = any(map(operator.gt, windows.window_shape, windows.strides))
    *others, channels = inputs.shape
    size = math.prod(others) * -(-channels // LANES) * LANES * 4
    return overlap and math.prod(windows.window_shape) <= NATIVE_TAPS and size < ON_CHIP


def sum_pool_choice(platform: str, windows: Windows) -> Choice:
    """What "auto" stands for in a sum or average pool."""
    if platform in GPUS:
        if len(stages(windows, SUM_TAPS)) > 1:
            return Choice("stages", "large windows: XLA's own reduction of one axis at a time")
        return Choice("window", "XLA's own reduction, and its gradient another one")
    if any(map(operator.gt, windows.effective_shape, windows.strides)):
        return Choice("shift", "windows overlap: sums of shifted slices")
    return Choice("window", "no two windows share a pixel: XLA's own reduction")


def logsumexp_choice(platform: str, windows: Windows) -> Choice:
    """What "auto" stands for in a log-sum-exp pool."""
    if platform in GPUS and max(windows.window_shape) <= AT_ONCE_TAPS:
        return Choice("at_once", "all taps in one kernel, which moves each array once")
    return Choice("shift", "shifted slices, an axis after the other")


def unpool_choice(platform: str, windows: Windows) -> Choice:
    """What puts maxima back at their places."""
    if windows.known and platform in GPUS:
        if math.prod(windows.window_shape) <= UNPOOL_TAPS:
            return Choice("shift", "each pixel looks up the windows over it")
        return Choice("sort", "many taps: each pixel looks up its place among sorted indices")
    if windows.known and platform == "tpu" and unpool_tiles.takes(windows):
        return Choice("tiles", "windows apart: each value copied all over its own")
    return Choice("scatter", "integers say who stays; the others are dropped")


def element_sum_choice(platform: str) -> Choice:
    """What adds up the gradient of a structuring element."""
    if platform in GPUS:
        return Choice("together", "one kernel for all taps")
    return Choice("taps", "a sum for each tap, each of which reads the winners")


def take_choice(platform: str) -> Choice:
    """What looks up elements in order, several of them more than once."""
    if platform in ACCELERATORS:
        return Choice("gather", "a gather, and another on the way back")
    return Choice("copies", "copies first: XLA's CPU compiler runs such sums fast")


def fill_choice(platform: str) -> Choice:
    """What pads with copies of pixels."""
    if platform in ACCELERATORS:
        return Choice("at once", "all axes in one kernel")
    return Choice("axes", "axis by axis: fused with its reader the transpose is slow")


def blur_choice(platform: str, windows: Windows) -> Choice:
    """What filters with binomial coefficients.

    Compiled for a TPU v5e, 3x3 with strides 2 over 32x32x32x64, bfloat16, forward and backward,
    thousand cycles of its schedule: by a depthwise convolution 38, as by lax's; by axes 205, by
    taps 428, by windowed sums of two pixels again and again 1,130.
    """
    if platform in GPUS and math.prod(windows.window_shape) <= BLUR_TAPS:
        return Choice("taps", "all taps in one kernel")
    if platform == "tpu" and windows.known:
        return Choice("depthwise", "a convolution of each channel: built in, where slices are dear")
    return Choice("axes", "one axis after the other: fewer taps")


def fold_choice(platform: str, windows: Windows) -> Choice:
    """What adds windows in their places.

    Predicted: by axes moves less, k1 + k2 slices for k1*k2. But an axis after the other needs the
    windows side by side in each pixel, and laying them so is what a TPU takes long for. Compiled
    for a v5e, 3x3 windows into 32x32x32x32, bfloat16, forward and backward, thousand cycles: all
    taps at once, each widened by itself, 583; widened before 1,433; by axes 1,542; lax 1,391.
    """
    if platform == "tpu" and windows.known and math.prod(windows.window_shape) <= FOLD_TAPS:
        return Choice("taps", "each tap put in place out of its own slice")
    return Choice("axes", "one axis after the other: fewer slices")


def resize_choice(platform: str, sizes: Sequence[Size], resized: Sequence[Size]) -> Choice:
    """What upsamples.

    Compiled for a TPU v5e, 16x16x64 to 32x32 and a 3x3 convolution, bfloat16, forward and backward,
    thousand cycles of its schedule: "nearest" by copies along all axes at once 216, axis by axis
    257, by lax 241, by windowed sums 469; "linear" by axes 363, by lax 1,005, by windowed sums 292,
    but those take 1,074 forward in place of 115.
    """
    known = geometry.are_known(*sizes, *resized)
    whole = known and not any(map(operator.mod, resized, sizes))
    if platform == "tpu" and whole:
        return Choice("copies", "copies along all axes at once; weighted sums of slices by axes")
    if known and platform in ACCELERATORS:
        return Choice("gather", "copies by a gather; whole factors by slices where weighted")
    return Choice("axes", "copies and weighted sums of slices, one axis after the other")


def sample_choice(platform: str, sizes: Sequence[Size], positions: Typed) -> Choice:
    """What looks up pixels at positions that data tell."""
    if platform in GPUS and geometry.are_known(*sizes, *positions.shape):
        return Choice("sort", "the gradient's sums in a fixed order, of sorted positions")
    return Choice("gather", "its transpose is a scatter, in a fixed order but on a GPU")
