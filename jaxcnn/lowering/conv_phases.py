"""Convolution of a dilated input as small convolutions, one per run of phases of the output.

Of the pixels of an input dilated by r only every r-th is not 0, so that out[i] under stride s,
kernel dilation d and low padding p sees just those taps a for which r divides s*i - p + a*d. Which
ones depends on i modulo q = r / gcd(s, r) alone. For the phase i = f + q*j they are every
(r / gcd(d, r))-th tap from some first one on, and they lie on the input itself:

    out[f + q*j] = sum over b of x[(s*f - p + a*d + s*q*j) / r] * kernel[a],    a = first + b*step

a convolution without input dilation. Neighbouring phases that see the same pixels make one run: one
convolution, whose features are those of all of them. Its derivatives have no input dilation either,
where XLA's own have, and on CPU those leave the fast path: 4x4 stride 2, 128 -> 64 channels,
forward and backward 22 ms against 323.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Num

from jaxcnn.geometry import Size, Windows, are_known, smaller
from jaxcnn.lowering import conv_direct
from jaxcnn.lowering.problem import ConvProblem, Typed


class Run(NamedTuple):
    """Along one axis, neighbouring phases of the output that are computed from the same pixels.

    Attributes:
      start: the first phase.
      taps: for each phase of the run, which taps of the kernel see pixels.
      low: padding before the input, negative where its first pixels are not seen.
      stride: input pixels from one output of a phase to its next.
      dilation: input pixels from one of these taps to the next.
    """

    start: int
    taps: list[range]
    low: Size
    stride: int
    dilation: int


def unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem: the input is not dilated, or who knows how far in.

    Which taps meet pixels depends on the padding before them.
    """
    if not are_known(*(low for low, _ in problem.windows.padding)):
        return f"needs padding that is known when traced, not {problem.windows.padding}"
    if max(problem.windows.input_dilation) > 1:
        return None
    return "needs an input dilation, or strides of a transposed convolution, above 1"


def conv(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
    inner: Callable[[Array, Array, ConvProblem], Array] = conv_direct.conv,
) -> Num[Array, "n *out out_features"]:
    """Cross-correlates run by run, each by `inner`, and interleaves the outputs."""
    windows, groups = problem.windows, problem.feature_group_count
    rank = windows.rank
    periods = [period(windows, axis) for axis in range(rank)]
    counts = tuple(-(-n // q) for n, q in zip(windows.output_shape, periods, strict=True))
    outputs = None
    for chosen in itertools.product(*(runs(windows, axis) for axis in range(rank))):
        small = dataclasses.replace(problem, windows=_run_windows(windows, chosen, counts))
        part = inner(inputs, _run_kernel(kernel, chosen, groups), small)
        part = _interleave(part, chosen, periods, groups)
        outputs = part if outputs is None else outputs + part
    if outputs is None:  # every tap falls between the pixels
        dtype = problem.preferred_element_type or inputs.dtype
        return jnp.zeros((inputs.shape[0], *windows.output_shape, kernel.shape[-1]), dtype)
    crop = (inputs.shape[0], *windows.output_shape, kernel.shape[-1])
    return outputs if outputs.shape == crop else lax.slice(outputs, (0,) * len(crop), crop)


def run_count(windows: Windows) -> int:
    """Number of convolutions that `conv` makes."""
    return math.prod(len(runs(windows, axis)) for axis in range(windows.rank))


def period(windows: Windows, axis: int) -> int:
    """Outputs along `axis` from one of a phase to its next."""
    r = windows.input_dilation[axis]
    return r // math.gcd(windows.strides[axis], r)


def runs(windows: Windows, axis: int) -> list[Run]:
    """The runs of phases along `axis`; phases that no tap gives anything are in none."""
    r, s = windows.input_dilation[axis], windows.strides[axis]
    k, d = windows.window_shape[axis], windows.dilation[axis]
    padding = windows.padding[axis][0]
    step, stride = r // math.gcd(d, r), s * period(windows, axis) // r
    made: list[Run] = []
    phases = smaller(period(windows, axis), windows.output_shape[axis])
    for phase in range(phases if are_known(phases) else period(windows, axis)):
        first = next((a for a in range(min(step, k)) if (s * phase - padding + a * d) % r == 0), k)
        taps, low = range(first, k, step), (padding - s * phase - first * d) // r
        if not taps:
            continue
        if made:
            start, others, other_low, *_ = made[-1]
            if (start + len(others), other_low, len(others[0])) == (phase, low, len(taps)):
                others.append(taps)
                continue
        made.append(Run(phase, [taps], low, stride, d * step // r))
    return made


def _run_windows(windows: Windows, chosen: tuple[Run, ...], counts: tuple[Size, ...]) -> Windows:
    """Where the windows of a run lie on the input itself."""
    window_shape = tuple(len(run.taps[0]) for run in chosen)
    reach = (
        run.stride * (count - 1) + run.dilation * (k - 1) + 1
        for run, count, k in zip(chosen, counts, window_shape, strict=True)
    )
    return Windows(
        sizes=windows.sizes,
        window_shape=window_shape,
        strides=tuple(run.stride for run in chosen),
        padding=tuple(
            (run.low, end - n - run.low)
            for run, end, n in zip(chosen, reach, windows.sizes, strict=True)
        ),
        dilation=tuple(run.dilation for run in chosen),
        input_dilation=(1,) * windows.rank,
        output_shape=counts,
    )


def _run_kernel(kernel: Array, chosen: tuple[Run, ...], groups: int) -> Array:
    """The kernel of a run: features (groups, *phases, out/groups) in place of (groups, out/groups).

    Features of a group must stay together, and so the phases go behind it.
    """
    phases = itertools.product(*(run.taps for run in chosen))
    grouped = kernel.reshape((*kernel.shape[:-1], groups, kernel.shape[-1] // groups))
    taps = [tuple(slice(t.start, t.stop, t.step) for t in phase) for phase in phases]
    if len(taps) == 1:
        return kernel[taps[0]]
    merged = jnp.stack([grouped[tap] for tap in taps], axis=-2)
    return merged.reshape((*merged.shape[:-3], -1))


def _interleave(
    part: Num[Array, "n *counts merged"],
    chosen: tuple[Run, ...],
    periods: list[int],
    groups: int,
) -> Num[Array, "n *padded out_features"]:
    """Spreads the phases of a run over the output: zeros for all others.

    (n, *counts, groups, *phases, out/groups) becomes (n, count, phase, ..., groups, out/groups) and
    each phase axis is padded to its period.
    """
    rank = len(chosen)
    counts, lengths = part.shape[1:-1], tuple(len(run.taps) for run in chosen)
    features = part.shape[-1] // groups // math.prod(lengths)
    n = part.shape[0]
    part = part.reshape((n, *counts, groups, *lengths, features))
    pairs = [axis for i in range(rank) for axis in (1 + i, 2 + rank + i)]
    part = part.transpose((0, *pairs, 1 + rank, 2 + 2 * rank))
    config = [(0, 0, 0)]
    for run, q in zip(chosen, periods, strict=True):
        config += [(0, 0, 0), (run.start, q - run.start - len(run.taps), 0)]
    part = lax.pad(part, jnp.zeros((), part.dtype), [*config, (0, 0, 0), (0, 0, 0)])
    spatial = (count * q for count, q in zip(counts, periods, strict=True))
    return part.reshape((n, *spatial, groups * features))
