"""What computes by the algorithm named, or by the one that `choices` has for the platform."""

import dataclasses
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from types import ModuleType

import jax
from jax import lax
from jaxtyping import Array, Bool, Float, Inexact, Integer, Num, Shaped

from jaxcnn import geometry
from jaxcnn.geometry import Size, Windows
from jaxcnn.lowering import (
    adaptive,
    choices,
    halo,
    logsumexp_at_once,
    logsumexp_shift,
    pool_rule,
    sum_rule,
    unknown,
)
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.conv_by_name import CONV_ALGORITHMS, conv_as_it_lay, conv_by
from jaxcnn.lowering.dtypes import extreme, widen
from jaxcnn.lowering.per_platform import OTHER, PLATFORMS, PerPlatform
from jaxcnn.lowering.pool_rule import Pool
from jaxcnn.lowering.problem import ConvProblem, Typed, one_a_window

MAX_POOL_ALGORITHMS = pool_rule.MAX_POOL_ALGORITHMS
SUM_POOL_ALGORITHMS = sum_rule.SUM_POOL_ALGORITHMS
LOGSUMEXP_ALGORITHMS: dict[str, ModuleType] = {
    "shift": logsumexp_shift,
    "at_once": logsumexp_at_once,
}


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
    name, *others = {choices.conv_choice(p, inputs, kernel, problem).algorithm for p in platforms}
    if not others and numbers is None:
        return conv_by(name, inputs, kernel, problem, _conv)
    return by_platform(_Conv(problem, numbers), inputs, kernel)[0]


@dataclasses.dataclass(frozen=True)
class _Conv(PerPlatform):
    """A convolution by "auto", its parts as well."""

    multiplies = True

    problem: ConvProblem
    numbers: lax.ConvDimensionNumbers | None

    def on(self, platform: str) -> Callable[..., list[Array]]:
        def auto(inputs: Array, kernel: Array, problem: ConvProblem) -> Array:
            name = choices.conv_choice(platform, inputs, kernel, problem).algorithm
            return conv_by(name, inputs, kernel, problem, auto)

        def compute(inputs: Array, kernel: Array) -> list[Array]:
            name = choices.conv_choice(platform, inputs, kernel, self.problem).algorithm
            if self.numbers is None or choices.channels_last_pays(platform, name):
                return [auto(inputs, kernel, self.problem)]
            return [conv_as_it_lay(inputs, kernel, self.problem, self.numbers)]

        return compute

    def outputs(self, operands: Sequence[Typed]) -> list[jax.ShapeDtypeStruct]:
        inputs, kernel = operands
        shape = (inputs.shape[0], *self.problem.windows.output_shape, kernel.shape[-1])
        return [jax.ShapeDtypeStruct(shape, self.problem.preferred_element_type or inputs.dtype)]


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
    refuse_unsupported_max_pool(windows, algorithm)
    return pool_rule.max_pool(inputs, Pool(windows, largest, algorithm), real)


def refuse_unsupported_max_pool(windows: Windows, algorithm: str) -> None:
    """Refuses an algorithm that cannot take such windows.

    Raises:
      ValueError: it cannot.
    """
    if algorithm == "tree" and not windows.known:
        raise ValueError(
            "`algorithm` (='tree') takes spatial sizes that are known when it is "
            f"traced, not {windows.sizes}; use 'auto'"
        )
    if algorithm == "native" and max(windows.dilation) > 1:
        raise ValueError(
            "`algorithm` (='native') takes windows that are not dilated, for of others XLA has "
            f"no derivative; received `window_dilation` {windows.dilation}; use 'auto'"
        )


@halo.by_rows()
@unknown.spare_no_window
def sum_pool(
    inputs: Num[Array, "n *spatial channels"], windows: Windows, algorithm: str
) -> Num[Array, "n *out channels"]:
    """Computes a sum pool by the algorithm named or by the one for "auto"."""
    return sum_rule.sum_pool(inputs, windows, algorithm)


@halo.by_rows(lambda given: -math.inf)
@unknown.spare_no_window
def logsumexp_pool(
    inputs: Float[Array, "n *spatial channels"], windows: Windows, algorithm: str
) -> Float[Array, "n *out channels"]:
    """Computes a log-sum-exp pool by the algorithm named or by the one for "auto"."""
    if algorithm != "auto":
        return LOGSUMEXP_ALGORITHMS[algorithm].logsumexp_pool(inputs, windows)
    return by_platform(_LogSumExp(windows), inputs)[0]


@dataclasses.dataclass(frozen=True)
class _LogSumExp(PerPlatform):
    """A log-sum-exp pool by "auto"."""

    windows: Windows

    def on(self, platform: str) -> Callable[..., list[Array]]:
        name = choices.logsumexp_choice(platform, self.windows).algorithm
        return lambda inputs: [LOGSUMEXP_ALGORITHMS[name].logsumexp_pool(inputs, self.windows)]

    def outputs(self, operands: Sequence[Typed]) -> list[jax.ShapeDtypeStruct]:
        return [one_a_window(operands[0], self.windows)]


@halo.by_rows(lambda given: extreme(given["inputs"].dtype, lowest=True), beside=("plane",))
@unknown.spare_no_window
def max_pool_with_indices(
    inputs: Shaped[Array, "n *spatial channels"],
    plane: Integer[Array, "1 *spatial 1"],
    windows: Windows,
    real: Bool[Array, " rows"] | None = None,
) -> tuple[Shaped[Array, "n *out channels"], Integer[Array, "n *out channels"]]:
    """Computes a max pool, and what `plane` holds where each maximum lies."""
    return pool_rule.max_pool_with_indices(inputs, plane, Pool(windows, True, "auto"), real)


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
