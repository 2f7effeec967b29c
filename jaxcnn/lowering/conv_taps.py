"""Convolution of few channels a group as sums of shifted products, some of the taps at a time.

What `conv_shift` does for a channel by itself goes for a group of C channels and O features too:

    out[n, i, g, o] = sum over a, c of x[n, i*s + a*d, g, c] * kernel[a, c, g, o]

is one slice of the padded input times one vector for each tap a and channel c, fused into one pass
over memory. No product is made with a zero that stands for nothing: what one group holds reaches no
other group, and what no window sees reaches no output, however large it is. Where there are more
terms than `TERMS`, boxes of taps (`tap_boxes`) add to one accumulator.

The tangent is stated so that its transposes are passes of the same kind. That of the inputs is made
with pads, as in `tap_sum`, for the transpose of a pad is a slice. With R = (k - 1)*d and stride 1

    v[a, p, g, o] = sum over c of x[p, g, c] * kernel[a, c, g, o]
    z[e] = sum over a of v[a, e - (R - a*d)],        out[i] = z[i + R]

so that dx[p, g, c] = sum over a, o of dz[p + R - a*d, g, o] * kernel[a, c, g, o]. Strides are taken
phase by phase of the input, x[r::s], each with the taps that meet it.

That of the kernel goes by rows of the output, as in `conv_shift`, for each box of at most
`ROW_TERMS` terms: its transpose adds x * g to an accumulator a term, and stores no residuals.

Predicted was a loss of a few times against the Fourier transform, whose error is not bounded by the
window (`conv_fft`), and of some against blocks of groups made dense, where a NaN leaks. Measured by
turns on two busy cores, float32, JAX 0.10.2, ms forward / forward and backward, the least of
several: 31x31 taps over 32 channels, 2 images of 56x56: XLA's own 543 / 1841, here 30 / 507, by
Fourier 13 / 16; 13x13 over 64 channels, 4 of 56x56: 457 / 2126, 28 / 319, 30 / 73; 100 taps over 64
channels, 16 of 1024 pixels: 555 / 39260, 19 / 92, 13 / 16. 3x3 with 32 groups of 4 channels, 8 of
32x32: XLA's own 207 / -, here 24 / 178, in blocks 32 / 157; on JAX 0.12 86 / -, 15 / 102, - / 133;
64 groups of 2: in blocks 16 / 160, here 9 / 62; one group after the other is slower by a half to
ten times up to 32 products a pixel. Smaller boxes were tried: 12 terms in place of 36 are two to
seven times as slow forward; for the kernel's gradient they cost nothing and compile in half the
time. One array for all accumulators of a row, which the transpose fills term by term, took 16 times
as long.
"""

import dataclasses
import functools
import itertools
import math
import operator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Num

from jaxcnn.geometry import Windows
from jaxcnn.lowering import slices
from jaxcnn.lowering.conv_shift import images_together, row_starts
from jaxcnn.lowering.dtypes import sum_dtype
from jaxcnn.lowering.problem import ConvProblem, Typed
from jaxcnn.lowering.tap_boxes import Start, over_boxes

Pixels = Num[Array, "n *padded groups group_features"]
Kernel = Num[Array, "*kernel_size group_features groups features"]
Outputs = Num[Array, "n *out groups features"]

TERMS = 36  # products in one expression: more of them compile slowly
ROW_TERMS = 12  # likewise, with an accumulator each


def unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem: its channels are one group, or sizes unknown."""
    if not problem.windows.known:
        return f"needs spatial sizes that are known when traced, not {problem.windows.sizes}"
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
    convolve = _convolve if jnp.issubdtype(wide, jnp.inexact) else _plain
    outputs = convolve(padded, kernel, problem.windows)
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


def _by_rows(padded: Pixels, kernel: Kernel, windows: Windows) -> Outputs:
    """The same, row by row: its transpose to the kernel is fast."""
    n, columns, lanes = padded.shape[0], windows.output_shape[-1], math.prod(kernel.shape[-2:])
    together = images_together(n, columns * lanes)
    blocks = padded.reshape((n // max(together, 1), together, *padded.shape[1:]))
    row_shape = (*(1,) * (windows.rank - 1), columns)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def row(block: Array, start: Start, along: dict[slices.Tap, list[Array]]) -> Array:
        sizes = _reach(windows, tuple(last + 1 for last in max(along)), row_shape)
        zero = np.int32(0)
        slab_shape = (together, *sizes, *padded.shape[-2:])
        slab = lax.dynamic_slice(block, (zero, *start, zero, zero), slab_shape)
        terms = []
        for tap, weights in along.items():
            pixels = _met(slab, windows, tap, row_shape)
            pixels = pixels.reshape((together, columns, *padded.shape[-2:]))
            terms += [pixels[..., c, None] * weight for c, weight in enumerate(weights)]
        return functools.reduce(operator.add, terms)

    def add(total: Array | None, start: Start, weights: Array) -> Array:
        # An array for each term: if they were one, the transpose would fill it term by term.
        shape = (together, columns, *weights.shape[-2:])
        along = {
            tap: [jnp.broadcast_to(weight[None, None], shape) for weight in weights[tap]]
            for tap in itertools.product(*map(range, weights.shape[: windows.rank]))
        }
        count = math.prod(windows.output_shape[:-1])
        rows = (*row_starts(windows), np.zeros(count, np.int32))
        starts = tuple(own + jnp.int32(first) for own, first in zip(rows, start, strict=True))

        def image(carry: None, block: Array) -> tuple[None, Array]:
            return lax.scan(lambda c, at: (c, row(block, at, along)), carry, starts, count)

        _, outputs = lax.scan(image, None, blocks)
        return outputs if total is None else total + outputs

    outputs = over_boxes(add, kernel, windows, ROW_TERMS // kernel.shape[-3])
    outputs = jnp.swapaxes(outputs, 1, 2)
    return outputs.reshape((n, *windows.output_shape, *kernel.shape[-2:]))


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


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _convolve(padded: Pixels, kernel: Kernel, windows: Windows) -> Outputs:
    """`_plain` with the tangents of both arguments in forms whose transposes are fast."""
    return _plain(padded, kernel, windows)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _convolve_by_pads(padded: Pixels, kernel: Kernel, windows: Windows) -> Outputs:
    """`_by_pads` with the same tangents, for second order."""
    return _by_pads(padded, kernel, windows)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _convolve_by_rows(padded: Pixels, kernel: Kernel, windows: Windows) -> Outputs:
    """`_by_rows` with the same tangents, for second order."""
    return _by_rows(padded, kernel, windows)


def _tangent(windows: Windows, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """The tangent of a product, that of each factor in the form whose transpose is fast."""
    padded, kernel = primals
    moved_pixels, moved_kernel = tangents
    outputs = _convolve(padded, kernel, windows)
    terms = []
    if not isinstance(moved_pixels, SymbolicZero):
        terms.append(_convolve_by_pads(moved_pixels, kernel, windows))
    if not isinstance(moved_kernel, SymbolicZero):
        terms.append(_convolve_by_rows(padded, moved_kernel, windows))
    return outputs, functools.reduce(operator.add, terms) if terms else jnp.zeros_like(outputs)


_convolve.defjvp(_tangent, symbolic_zeros=True)
_convolve_by_pads.defjvp(_tangent, symbolic_zeros=True)
_convolve_by_rows.defjvp(_tangent, symbolic_zeros=True)
