"""Convolution of few channels a group as sums of shifted products, some of the taps at a time.

What `conv_shift` does for a channel by itself goes for a group of C channels and O features too:

    out[n, i, g, o] = sum over a, c of x[n, i*s + a*d, g, c] * kernel[a, c, g, o]

is one slice of the padded input times one vector for each tap a and channel c, fused into one pass
over memory. No product is made with a zero that stands for nothing: what one group holds reaches no
other group, and what no window sees reaches no output, however large it is. Where there are more
terms than `TERMS`, boxes of taps (`tap_boxes`) add to one accumulator.

Its transposes are stated as passes of the same kind. That towards the inputs is JAX's own of a form
made with pads, as in `tap_sum`, for the transpose of a pad is a slice. With R = (k - 1)*d, stride 1

    v[a, p, g, o] = sum over c of x[p, g, c] * kernel[a, c, g, o]
    z[e] = sum over a of v[a, e - (R - a*d)],        out[i] = z[i + R]

so that dx[p, g, c] = sum over a, o of dz[p + R - a*d, g, o] * kernel[a, c, g, o]. Strides are taken
phase by phase of the input, x[r::s], each with the taps that meet it.

That towards the kernel takes all taps at once: see `kernel_by_rows`. A scan over rows of the output
with an accumulator for each of 12 terms at a time, as it was, took with the rest of forward and
backward 31 and 29 ms of CPU for 3x3 with 32 groups of 4, 210 and 114 for 31x31, 57 and 28 for 100
taps, and to compile 1.3 and 0.6, 3.1 and 1.8, 1.9 and 1.8 s (JAX 0.10.2, the sizes below).

Predicted was a loss of a few times against the Fourier transform, whose error is not bounded by the
window (`conv_fft`), and of some against blocks of groups made dense, where a NaN leaks. Measured by
turns on two busy cores, float32, JAX 0.10.2, ms forward / forward and backward, the least of
several: 31x31 taps over 32 channels, 2 images of 56x56: XLA's own 543 / 1841, here 30 / 507, by
Fourier 13 / 16; 13x13 over 64 channels, 4 of 56x56: 457 / 2126, 28 / 319, 30 / 73; 100 taps over 64
channels, 16 of 1024 pixels: 555 / 39260, 19 / 92, 13 / 16. 3x3 with 32 groups of 4 channels, 8 of
32x32: XLA's own 207 / -, here 24 / 178, in blocks 32 / 157; on JAX 0.12 86 / -, 15 / 102, - / 133;
64 groups of 2: in blocks 16 / 160, here 9 / 62; one group after the other is slower by a half to
ten times up to 32 products a pixel. Smaller boxes were tried: 12 terms in place of 36 are two to
seven times as slow forward.
"""

import dataclasses
import functools
import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Num

from jaxcnn.geometry import Windows
from jaxcnn.lowering import kernel_by_rows, slices
from jaxcnn.lowering.bilinear import Bilinear
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.dtypes import sum_dtype
from jaxcnn.lowering.problem import ConvProblem, Typed, sizes_unknown
from jaxcnn.lowering.tap_boxes import Start, over_boxes

Pixels = Num[Array, "n *padded groups group_features"]
Kernel = Num[Array, "*kernel_size group_features groups features"]
Outputs = Num[Array, "n *out groups features"]

TERMS = 36  # products in one expression: more of them compile slowly


def unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem: its channels are one group, or sizes unknown."""
    if not problem.windows.known:
        return sizes_unknown(problem.windows)
    if problem.feature_group_count > 1 or kernel.shape[-2] == 1:
        return None
    return "takes two groups of channels or more, or one channel, not 1 group of several"


def conv(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
) -> Num[Array, "n *out out_features"]:
    """Cross-correlates the channels of every group with the taps of that group."""
    out_dtype = jnp.dtype(problem.preferred_element_type or inputs.dtype)
    wide = sum_dtype(out_dtype)
    groups, per_group, features = problem.feature_group_count, *kernel.shape[-2:]
    padded = slices.pad_for_windows(inputs.astype(wide), problem.windows, 0)
    padded = padded.reshape((*padded.shape[:-1], groups, per_group))
    kernel = kernel.astype(wide).reshape((*kernel.shape[:-1], groups, features // groups))
    if jnp.issubdtype(wide, jnp.inexact):
        (outputs,) = by_platform(_Taps(problem.windows), padded, kernel)
    else:
        outputs = _plain(padded, kernel, problem.windows)
    return outputs.reshape((*outputs.shape[:-2], features)).astype(out_dtype)


def _plain(padded: Pixels, kernel: Kernel, windows: Windows) -> Outputs:
    """Adds up what each tap meets in all windows times its vectors."""

    def add(total: Array | None, start: Start, weights: Array) -> Array:
        shape, zero = weights.shape[: windows.rank], np.int32(0)
        sizes = _reach(windows, shape, windows.output_shape)
        slab_shape = (padded.shape[0], *sizes, *padded.shape[-2:])
        where = (zero, *map(jnp.int32, start), zero, zero)
        slab = lax.dynamic_slice(padded, where, slab_shape)
        terms = [] if total is None else [total]
        for tap in itertools.product(*map(range, shape)):
            pixels = _met(slab, windows, tap, windows.output_shape)
            beside = weights[tap][:, *(None,) * (windows.rank + 1)]
            terms += [pixels[..., c, None] * weight for c, weight in enumerate(beside)]
        return functools.reduce(operator.add, terms)

    return over_boxes(add, kernel, windows, TERMS // kernel.shape[-3])


def _by_pads(padded: Pixels, kernel: Kernel, windows: Windows) -> Outputs:
    """The same, phase by phase and with pads: its transpose to the inputs is made of slices."""
    rank, along = windows.rank, []
    for k, d, s in zip(windows.window_shape, windows.dilation, windows.strides, strict=True):
        step = s // math.gcd(d, s)  # from one tap of a phase to its next
        along.append([(first, step, d * step // s) for first in range(min(step, k))])
    terms = []
    for phase in itertools.product(*along):
        first, step, dilation = zip(*phase, strict=True)
        taps = kernel[tuple(slice(a, None, b) for a, b in zip(first, step, strict=True))]
        own = dataclasses.replace(
            windows, window_shape=taps.shape[:rank], strides=(1,) * rank, dilation=dilation
        )
        starts = (a * d for a, d in zip(first, windows.dilation, strict=True))
        sizes = _reach(own, own.window_shape, own.output_shape)
        where = (
            slice(start, start + (size - 1) * s + 1, s)
            for start, size, s in zip(starts, sizes, windows.strides, strict=True)
        )
        terms.append(_phase_by_pads(padded[:, *where], taps, own))
    return functools.reduce(operator.add, terms)


def _phase_by_pads(pixels: Pixels, kernel: Kernel, windows: Windows) -> Outputs:
    """`_by_pads` with strides of 1."""
    features, dilation, zero = kernel.shape[-1], windows.dilation, jnp.zeros((), pixels.dtype)
    ahead = [e - 1 for e in windows.effective_shape]
    # Features before channels: what a step of the transpose reads lies side by side.
    kernel = lax.optimization_barrier(jnp.moveaxis(kernel, -1, -3).swapaxes(-1, -2))

    def add(total: Array | None, start: Start, weights: Array) -> Array:
        shape, terms = weights.shape[: windows.rank], []
        spans = [(size - 1) * d for size, d in zip(shape, dilation, strict=True)]
        for tap in itertools.product(*map(range, shape)):
            lows = [span - t * d for span, t, d in zip(spans, tap, dilation, strict=True)]
            place = [(low, span - low, 0) for low, span in zip(lows, spans, strict=True)]
            beside = weights[tap][:, *(None,) * (windows.rank + 1)]
            for feature, weight in enumerate(beside):
                term = jnp.sum(pixels * weight, -1, keepdims=True)
                own = (feature, features - 1 - feature, 0)
                terms.append(lax.pad(term, zero, [(0, 0, 0), *place, (0, 0, 0), own]))
        term = functools.reduce(operator.add, terms)
        at = [most - a - span for most, a, span in zip(ahead, start, spans, strict=True)]
        if total is None:
            rest = (most - low - span for most, low, span in zip(ahead, at, spans, strict=True))
            place = [(low, high, 0) for low, high in zip(at, rest, strict=True)]
            return lax.pad(term, zero, [(0, 0, 0), *place, (0, 0, 0), (0, 0, 0)])
        where = (np.int32(0), *map(jnp.int32, at), np.int32(0), np.int32(0))
        return total + lax.dynamic_update_slice(jnp.zeros_like(total), term, where)

    total = over_boxes(add, kernel, windows, TERMS // features)
    total = lax.optimization_barrier(total)
    return total[:, *(slice(a, a + n) for a, n in zip(ahead, windows.output_shape, strict=True))]


def _reach(windows: Windows, shape: tuple[int, ...], counts: tuple[int, ...]) -> tuple[int, ...]:
    """Pixels along each axis from the first of so many windows, of so many taps, to the last."""
    return tuple(
        (count - 1) * s + (size - 1) * d + 1
        for size, count, s, d in zip(shape, counts, windows.strides, windows.dilation, strict=True)
    )


def _met(
    slab: Pixels, windows: Windows, tap: slices.Tap, counts: tuple[int, ...]
) -> Num[Array, "n *met groups group_features"]:
    """What a tap meets in so many windows along each axis, the first of which begins the slab."""
    where = (
        slice(t * d, t * d + (count - 1) * s + 1, s)
        for t, d, s, count in zip(tap, windows.dilation, windows.strides, counts, strict=True)
    )
    return slab[:, *where]


@dataclasses.dataclass(frozen=True)
class _Taps(Bilinear):
    """The convolution of padded inputs and a kernel."""

    apart = True

    windows: Windows

    def value(self, first: Array, second: Array) -> Array:
        return _plain(first, second, self.windows)

    def to_first(self, second: Array, cotangent: Array, like: Any) -> Array:
        by_pads = functools.partial(_by_pads, kernel=second, windows=self.windows)
        return jax.linear_transpose(by_pads, like)(cotangent)[0]

    def to_second(self, first: Array, cotangent: Array, like: Any) -> Array:
        return kernel_by_rows.kernel_gradient(first, cotangent, self.windows)

    def outputs(self, operands: Sequence[Any]) -> list[jax.ShapeDtypeStruct]:
        first, second = operands  # as stated: to trace all taps for a shape takes long
        shape = (first.shape[0], *self.windows.output_shape, *second.shape[-2:])
        return [jax.ShapeDtypeStruct(shape, first.dtype)]
