"""A convolution by one of the algorithms, which have names."""

import dataclasses
from collections.abc import Sequence
from types import ModuleType

from jax import lax
from jaxtyping import Array

from jaxcnn.lowering import (
    conv_adjoint,
    conv_blocks,
    conv_canonical,
    conv_direct,
    conv_fft,
    conv_fold,
    conv_groups,
    conv_matmul,
    conv_phases,
    conv_planes,
    conv_repeat,
    conv_shift,
    conv_slices,
    conv_spread,
    conv_taps,
    slices,
    unknown,
    xla_conv,
)
from jaxcnn.lowering.problem import ConvProblem, Inner

CONV_ALGORITHMS: dict[str, ModuleType] = {
    "direct": conv_direct,
    "canonical": conv_canonical,
    "matmul": conv_matmul,
    "shift": conv_shift,
    "taps": conv_taps,
    "fft": conv_fft,
    "groups": conv_groups,
    "blocks": conv_blocks,
    "phases": conv_phases,
    "adjoint": conv_adjoint,
    "slices": conv_slices,
    "repeat": conv_repeat,
    "spread": conv_spread,
    "fold": conv_fold,
    "planes": conv_planes,
}
# their parts are chosen for in turn
SPLITTING = (conv_blocks, conv_groups, conv_phases, conv_planes)


def conv_by(name: str, inputs: Array, kernel: Array, problem: ConvProblem, inner: Inner) -> Array:
    """The convolution by one algorithm, its parts, if it splits the problem, by `inner`."""
    chosen = CONV_ALGORITHMS[name]
    by_parts = (inner,) * (chosen in SPLITTING)
    if problem.windows.known:
        return chosen.conv(inputs, kernel, problem, *by_parts)
    # Images of unknown size are padded first, for XLA takes amounts that are known. The barrier
    # keeps it from taking them back once it knows them: see `xla_conv`. Phases have paddings of
    # their own.
    windows = unknown.with_a_window(problem.windows)
    if chosen is not conv_phases:
        inputs = lax.optimization_barrier(slices.pad_for_windows(inputs, windows, 0))
        windows = windows.fitted()
    enough = dataclasses.replace(problem, windows=windows)
    outputs = chosen.conv(inputs, kernel, enough, *by_parts)
    return unknown.resized(outputs, windows, problem.windows)


def conv_as_it_lay(
    inputs: Array, kernel: Array, problem: ConvProblem, numbers: lax.ConvDimensionNumbers
) -> Array:
    """XLA's convolution of axes in the order that `numbers` say, of and to channels last."""
    windows = unknown.with_a_window(problem.windows)
    last = conv_direct.channels_last(windows.rank)
    outputs = xla_conv.convolve(
        moved(inputs, last.lhs_spec, numbers.lhs_spec),
        moved(kernel, last.rhs_spec, numbers.rhs_spec),
        windows.strides,
        windows.padding,
        input_dilation=windows.input_dilation,
        kernel_dilation=windows.dilation,
        numbers=numbers,
        feature_group_count=problem.feature_group_count,
        precision=problem.precision,
        preferred_element_type=problem.preferred_element_type,
    )
    return unknown.resized(
        moved(outputs, numbers.out_spec, last.out_spec), windows, problem.windows
    )


def moved(array: Array, axes: Sequence[int], to: Sequence[int]) -> Array:
    """Transposes an array with axes as one specification says into the order of another."""
    order = [0] * array.ndim
    for axis, place in zip(axes, to, strict=True):
        order[place] = axis
    return array if order == sorted(order) else lax.transpose(array, order)
