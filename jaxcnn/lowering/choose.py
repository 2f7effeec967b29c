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

On GPU and TPU "auto" is direct for every convolution, whose gradients are convolutions there, and
for pools what it is on a CPU, for no gradient of theirs scatters. Neither has been measured there.

On a mesh of devices (`halo`) all of this holds for the part of each device.
"""

import dataclasses
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import NamedTuple

import jax
from jax import lax
from jaxtyping import Array, Bool, Inexact, Integer, Num, Shaped

from jaxcnn import geometry
from jaxcnn.geometry import Size, Windows
from jaxcnn.lowering import (
    adaptive,
    conv_phases,
    halo,
    pool_shift,
    pool_tree,
    pool_window,
    sum_shift,
    sum_window,
    unknown,
)
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.conv_by_name import CONV_ALGORITHMS, conv_as_it_lay, conv_by
from jaxcnn.lowering.dtypes import extreme, widen
from jaxcnn.lowering.per_platform import OTHER, PLATFORMS, PerPlatform
from jaxcnn.lowering.problem import ConvProblem, Typed
from jaxcnn.lowering.reduce_axis import is_long

MAX_POOL_ALGORITHMS: dict[str, ModuleType] = {
    "shift": pool_shift,
    "tree": pool_tree,
    "window": pool_window,
}
SUM_POOL_ALGORITHMS: dict[str, ModuleType] = {"shift": sum_shift, "window": sum_window}

PHASE_RUNS = 32  # each run is a convolution of its own: more of them compile slowly
PLANE_TAPS = 49  # likewise
SHIFT_TAPS = 81  # likewise, each tap is an operation
FEW_PRODUCTS = 32  # of a pixel within a group, below which no matrix product pays


class Choice(NamedTuple):
    """An algorithm by its name, and in a few words why it is taken."""

    algorithm: str
    why: str


@halo.by_rows()
def conv(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
    algorithm: str,
    numbers: lax.ConvDimensionNumbers | None = None,
) -> Num[Array, "n *out out_features"]:
    """Computes a convolution by the algorithm named, or by the one that "auto" stands for.

    `numbers` say in which order the axes were before, where not channels last: in that order the
    convolution is made on platforms for which channels last does not pay.

    Raises:
      ValueError: the algorithm named can't take the problem; the message says why.
    """
    if algorithm == "auto":
        return _conv(inputs, kernel, problem, numbers)
    refuse_unsupported(inputs, kernel, problem, algorithm)
    return conv_by(algorithm, inputs, kernel, problem, _conv)


def refuse_unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem, algorithm: str) -> None:
    """Refuses an algorithm that cannot take arrays of such shapes and dtypes.

    Raises:
      ValueError: it cannot; the message says why.
    """
    if algorithm == "auto":
        return
    reason = CONV_ALGORITHMS[algorithm].unsupported(inputs, kernel, problem)
    if reason is not None:
        raise ValueError(f"`algorithm` (={algorithm!r}) {reason}; use 'auto'")


def _conv(
    inputs: Array,
    kernel: Array,
    problem: ConvProblem,
    numbers: lax.ConvDimensionNumbers | None = None,
) -> Array:
    """The convolution by what "auto" stands for on the platform that it is lowered for."""
    platforms = (*PLATFORMS, OTHER)
    name, *others = {conv_choice(p, inputs, kernel, problem).algorithm for p in platforms}
    if not others and numbers is None:
        return conv_by(name, inputs, kernel, problem, _conv)
    return by_platform(_Conv(problem, numbers), inputs, kernel)[0]


@dataclasses.dataclass(frozen=True)
class _Conv(PerPlatform):
    """A convolution by "auto", its parts as well."""

    problem: ConvProblem
    numbers: lax.ConvDimensionNumbers | None

    def on(self, platform: str) -> Callable[..., list[Array]]:
        def auto(inputs: Array, kernel: Array, problem: ConvProblem) -> Array:
            name = conv_choice(platform, inputs, kernel, problem).algorithm
            return conv_by(name, inputs, kernel, problem, auto)

        def compute(inputs: Array, kernel: Array) -> list[Array]:
            if self.numbers is None or channels_last_pays(platform):
                return [auto(inputs, kernel, self.problem)]
            return [conv_as_it_lay(inputs, kernel, self.problem, self.numbers)]

        return compute

    def outputs(self, operands: Sequence[Typed]) -> list[jax.ShapeDtypeStruct]:
        inputs, kernel = operands
        shape = (inputs.shape[0], *self.problem.windows.output_shape, kernel.shape[-1])
        return [jax.ShapeDtypeStruct(shape, self.problem.preferred_element_type or inputs.dtype)]


def conv_choice(platform: str, inputs: Typed, kernel: Typed, problem: ConvProblem) -> Choice:
    """What "auto" stands for on a platform, from what has the shapes and dtypes of the arrays."""
    if platform != "cpu":
        return Choice("direct", "one convolution of XLA's, whose gradients are convolutions")
    windows = problem.windows
    taps = math.prod(windows.window_shape)
    planes = math.prod(windows.window_shape[:-2])
    features = kernel.shape[-1] // problem.feature_group_count
    few = kernel.shape[-2] == 1 or kernel.shape[-2] * features < FEW_PRODUCTS
    several = inputs.shape[-1] > 1
    in_turn: dict[Choice, Callable[[], bool]] = {
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
    for choice, pays in in_turn.items():
        algorithm = CONV_ALGORITHMS[choice.algorithm]
        if algorithm.unsupported(inputs, kernel, problem) is None and pays():
            return choice
    return Choice("direct", "nothing faster takes it")


def channels_last_pays(platform: str) -> bool:
    """Whether a convolution with axes in another order is best transposed to channels last.

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
    return platform == "cpu"


@halo.by_rows(lambda given: extreme(given["inputs"].dtype, lowest=given["largest"]))
@unknown.spare_no_window
def max_pool(
    inputs: Shaped[Array, "n *spatial channels"],
    windows: Windows,
    largest: bool,
    algorithm: str,
    real: Bool[Array, " rows"] | None = None,
) -> Shaped[Array, "n *out channels"]:
    """Computes a max pool, or a min pool, by the algorithm named or by the one for "auto".

    `real` says which rows are pixels, where some only stand for padding; None for all.
    """
    name = max_pool_choice(OTHER, windows).algorithm if algorithm == "auto" else algorithm
    refuse_unsupported_max_pool(windows, name)
    return MAX_POOL_ALGORITHMS[name].max_pool(inputs, windows, largest, real)


def refuse_unsupported_max_pool(windows: Windows, algorithm: str) -> None:
    """Refuses an algorithm that cannot take windows over sizes that are not known yet.

    Raises:
      ValueError: it cannot.
    """
    if algorithm == "tree" and not windows.known:
        raise ValueError(
            "`algorithm` (='tree') takes spatial sizes that are known when it is "
            f"traced, not {windows.sizes}; use 'auto'"
        )


@halo.by_rows()
@unknown.spare_no_window
def sum_pool(
    inputs: Num[Array, "n *spatial channels"], windows: Windows, algorithm: str
) -> Num[Array, "n *out channels"]:
    """Computes a sum pool by the algorithm named or by the one for "auto"."""
    name = sum_pool_choice(OTHER, windows).algorithm if algorithm == "auto" else algorithm
    return SUM_POOL_ALGORITHMS[name].sum_pool(inputs, windows)


@halo.by_rows(lambda given: extreme(given["inputs"].dtype, lowest=True), beside=("plane",))
@unknown.spare_no_window
def max_pool_with_indices(
    inputs: Shaped[Array, "n *spatial channels"],
    plane: Integer[Array, "1 *spatial 1"],
    windows: Windows,
    real: Bool[Array, " rows"] | None = None,
) -> tuple[Shaped[Array, "n *out channels"], Integer[Array, "n *out channels"]]:
    """Computes a max pool, and what `plane` holds where each maximum lies."""
    chosen = pool_tree if max_pool_choice(OTHER, windows).algorithm == "tree" else pool_shift
    return chosen.max_pool_with_indices(inputs, plane, windows, real)


def adaptive_avg_pool(
    inputs: Inexact[Array, "n *spatial channels"],
    output_shape: tuple[Size, ...],
) -> Inexact[Array, "n *out channels"]:
    """Averages windows that share the input out evenly."""
    windows = _sliding(inputs.shape[1:-1], output_shape)
    if windows is None:
        return adaptive.average(inputs, output_shape)
    sums = sum_pool(widen(inputs), windows, "auto")
    return (sums / math.prod(windows.window_shape)).astype(inputs.dtype)


def adaptive_max_pool(
    inputs: Num[Array, "n *spatial channels"],
    output_shape: tuple[Size, ...],
) -> Num[Array, "n *out channels"]:
    """Takes the maximum of windows that share the input out evenly."""
    windows = _sliding(inputs.shape[1:-1], output_shape)
    if windows is None:
        return adaptive.maximum(inputs, output_shape)
    return max_pool(widen(inputs), windows, True, "auto").astype(inputs.dtype)


def max_pool_choice(platform: str, windows: Windows) -> Choice:
    """What "auto" stands for in a max or min pool: the same on every platform."""
    if windows.known and any(is_long(windows, axis) for axis in range(windows.rank)):
        return Choice("tree", "long windows: by doubling")
    return Choice("shift", "selects over shifted slices, whose gradient scatters nothing")


def sum_pool_choice(platform: str, windows: Windows) -> Choice:
    """What "auto" stands for in a sum or average pool: the same on every platform."""
    if any(map(operator.gt, windows.effective_shape, windows.strides)):
        return Choice("shift", "windows overlap: sums of shifted slices")
    return Choice("window", "no two windows share a pixel: XLA's own reduction")


def _sliding(sizes: tuple[Size, ...], output_shape: tuple[Size, ...]) -> Windows | None:
    """The windows of an ordinary pool, where these are such: 13 pixels into 6, three each, two on.

    Predicted: shifted slices in place of a slice a window are faster. Measured (32 images of
    13x13x256 into 6x6, two CPU cores, forward + backward): 2.8 times as fast as `lax` or more,
    where a slice a window was level with it. None where sizes or distances differ, or where no two
    windows share a pixel, for then each is a reduction of its own.
    """
    if not geometry.are_known(*sizes):
        return None
    window_shape, strides = [], []
    for size, count in zip(sizes, output_shape, strict=True):
        windows = geometry.adaptive_windows(size, count)
        taps = {end - start for start, end in windows}
        steps = {after[0] - before[0] for before, after in itertools.pairwise(windows)} or taps
        if len(taps) > 1 or len(steps) > 1 or 0 in steps:
            return None
        window_shape += taps
        strides += steps
    if all(map(operator.le, window_shape, strides)):
        return None
    return geometry.windows(sizes, window_shape, strides=tuple(strides))
