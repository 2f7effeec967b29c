"""Convolution whose derivatives reach XLA's fast path too, inside a scan as outside.

XLA's CPU compiler runs a convolution fast when it finds channels-last activations, kernels laid out
(rows, columns, in, out) and no input dilation. It rewrites others into that form, but only in the
outermost computation: inside `scan`, `while` or `cond` they run as naive loops. JAX's own
transposes of a convolution are of the other form, so the gradient of a step slows down by a factor
of 3 to 45 once the step is put into a scan.

The tangent below is the usual one, conv(dx, k) + conv(x, dk), but each term is laid out such that
its transpose, which JAX derives, is the fast form:

- conv(dx, k) takes k with its channel axes exchanged, and says so in the dimension numbers. The
  transpose exchanges them once more in the dimension numbers, and so finds them in place. Strides
  would turn into input dilation; with them the sum over taps is split by the phase of the tap,

      y[i] = sum over r < s of sum over b of x[(i + b)*s + r] * k[b*s + r],

  which is a stride-1 convolution of each phase x[r::s] with the kernel's phase k[r::s]. Few
  channels give each of these little to do: then the phases lie side by side as channels, and it is
  one convolution of the taps in whole blocks and, where k is no multiple of s, one of the rest.
- conv(x, dk) takes x as (channels, rows, columns, batch) and gives (rows, columns, batch, out). In
  the transpose, channels play the batch and the batch plays the channels. It is made block by
  block of images in a scan: exchanging batch and channels copies the block alone, which stays in
  the cache. `jax.checkpoint` keeps the copies from being stored for the transpose.

One spatial axis is taken as two, the first of size 1.

Measured on two shared CPU cores in float32 with JAX 0.10.2, forward and backward, ms a step outside
a scan / inside: LeNet's first layer 24.7 / 34.7 plain, 24.9 / 24.4 so; its second 10.7 / 63.7 and
10.8 / 10.0; 3x3 with 64 channels on 16 images of 32x32 61 / 2308 and 61 / 52; 3x3 with stride 2, 48
to 96 channels on 24 images of 40x40, 47 / 1213 and 41 / 37.

The blocks were expected to save the copies' memory and to cost nothing; they gain time too. The
gradient of a 3x3 kernel with 64 channels on 64 images of 32x32 takes 74 ms at once, 34 MB of
temporary memory, and 53 ms in blocks of 4 or 8, 2 to 4 MB; with 3 to 64 channels 5.7 and 3.3 ms.
Blocks below 1024 pixels, or below 8 images, which play the channels, lose up to a half. Patches
and one product a block took about as long as no blocks; a convolution over rows, with the shifts
along columns laid side by side, as long as these. On JAX 0.12 the time is the same with and
without, within the noise, and the memory an eighth.

Phases as channels: the gradient of the inputs for 11x11 kernels with stride 4 and 3 channels takes
20 ms, phase by phase 190, as XLA's own, outside of a scan, 35; 7x7 with stride 2: 43, 134 and 28.
From 32 channels on it loses a third to phase by phase. The taps beside whole blocks by themselves,
in place of zeros that fill a block, were expected to cost the fourth part that three more small
convolutions read: the gradient of the inputs takes 0.91 to 1.16 times as long for 7x7 and 11x11 (a
busy machine, the median of nine by turns, both versions), 0.5 to 0.86 times lax's.
"""

import dataclasses
import functools
import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Num

from jaxcnn.geometry import Size, are_known
from jaxcnn.lowering import conv_direct, xla_conv
from jaxcnn.lowering.problem import ConvProblem, Typed

BLOCK_IMAGES, BLOCK_PIXELS = 8, 1024  # of a block, at least
FEW_CHANNELS = 16  # up to so many, phases are laid side by side


def unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem."""
    if problem.windows.rank > 2:
        return f"takes one or two spatial axes, not {problem.windows.rank}"
    if problem.feature_group_count != 1:
        return f"takes one group of channels, not {problem.feature_group_count}"
    if any(rate != 1 for rate in problem.windows.input_dilation):
        return f"takes no input dilation, not {problem.windows.input_dilation}"
    return None


def conv(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
) -> Num[Array, "n *out out_features"]:
    """Cross-correlates as `conv_direct.conv` does; the difference is in the derivatives."""
    if problem.windows.rank == 2:
        return _conv(inputs, kernel, problem)
    rows = dataclasses.replace(problem, windows=problem.windows.with_unit_axis())
    return _conv(inputs[:, None], kernel[None], rows)[:, 0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _conv(inputs: Array, kernel: Array, problem: ConvProblem) -> Array:
    """The convolution in two dimensions, with its tangent stated below."""
    return conv_direct.conv(inputs, kernel, problem)


def _conv_jvp(problem, primals, tangents):
    inputs, kernel = primals
    d_inputs, d_kernel = tangents
    outputs = conv_direct.conv(inputs, kernel, problem)
    terms = []
    if not isinstance(d_inputs, SymbolicZero):
        terms.append(_linear_in_inputs(d_inputs, kernel, problem))
    if not isinstance(d_kernel, SymbolicZero):
        terms.append(_linear_in_kernel(inputs, d_kernel, problem))
    return outputs, sum(terms[1:], start=terms[0]) if terms else jnp.zeros_like(outputs)


_conv.defjvp(_conv_jvp, symbolic_zeros=True)


def _linear_in_inputs(d_inputs: Array, kernel: Array, problem: ConvProblem) -> Array:
    """conv(dx, k), a sum of stride-1 convolutions whose transposes are canonical."""
    windows = problem.windows
    phases = tuple(
        s if d == 1 else 1 for s, d in zip(windows.strides, windows.dilation, strict=True)
    )
    if phases == (1, 1):
        return _exchanged(d_inputs, kernel, windows.strides, windows.padding, problem)
    if d_inputs.shape[-1] <= FEW_CHANNELS and windows.dilation == (1, 1):
        return _phases_as_channels(d_inputs, kernel, problem)
    zero = jnp.zeros((), d_inputs.dtype)
    padded = lax.pad(d_inputs, zero, ((0, 0, 0), *((*p, 0) for p in windows.padding), (0, 0, 0)))
    rest = tuple(s // p for s, p in zip(windows.strides, phases, strict=True))
    terms = []
    for start in itertools.product(*map(range, phases)):
        taps = kernel[start[0] :: phases[0], start[1] :: phases[1]]
        if 0 in taps.shape:
            continue
        stops = [
            r + p * ((count - 1) * step + d * (k - 1)) + 1
            for r, p, count, step, d, k in zip(
                start,
                phases,
                windows.output_shape,
                rest,
                windows.dilation,
                taps.shape,
                strict=False,
            )
        ]
        phase = padded[:, start[0] : stops[0] : phases[0], start[1] : stops[1] : phases[1]]
        terms.append(_exchanged(phase, taps, rest, ((0, 0), (0, 0)), problem))
    return sum(terms[1:], start=terms[0])


def _phases_as_channels(d_inputs: Array, kernel: Array, problem: ConvProblem) -> Array:
    """conv(dx, k) as stride-1 convolutions: pixels and taps in blocks of a stride each way.

    (n, H*s, W*t, c) becomes (n, H, W, s*t*c), and the taps likewise. Those that are left along an
    axis after the last whole block are convolutions of their own, of the phases that they meet:
    filled up with zeros they would bring a cotangent's NaN to pixels that its window does not see.
    """
    windows, strides = problem.windows, problem.windows.strides
    counts, config, whole, parts = windows.output_shape, [(0, 0, 0)], [], []
    for axis, (count, step) in enumerate(zip(counts, strides, strict=True)):
        blocks, rest = divmod(windows.window_shape[axis], step)
        low = windows.padding[axis][0]
        whole += [count + blocks + (rest > 0) - 1, step]
        config.append((low, whole[-2] * step - low - windows.sizes[axis], 0))
        parts.append([(0, blocks, step)] * (blocks > 0) + [(blocks, 1, rest)] * (rest > 0))
    pixels = lax.pad(d_inputs, jnp.zeros((), d_inputs.dtype), [*config, (0, 0, 0)])
    n, channels = d_inputs.shape[0], d_inputs.shape[-1]  # n may be 0, which leaves no -1 open
    pixels = pixels.reshape((n, *whole, channels)).transpose((0, 1, 3, 2, 4, 5))
    terms = []
    for rows, columns in itertools.product(*parts):
        (top, down, s), (left, along, t) = rows, columns
        bottom, right = top + counts[0] + down - 1, left + counts[1] + along - 1
        part = pixels[:, top:bottom, left:right, :s, :t]
        part = part.reshape((*part.shape[:3], s * t * channels))
        first, other = top * strides[0], left * strides[1]
        taps = kernel[first : first + down * s, other : other + along * t]
        taps = taps.reshape((down, s, along, t, *kernel.shape[2:])).transpose((0, 2, 1, 3, 4, 5))
        taps = taps.reshape((down, along, s * t * channels, kernel.shape[-1]))
        terms.append(_exchanged(part, taps, (1, 1), ((0, 0), (0, 0)), problem))
    return sum(terms[1:], start=terms[0])


def _exchanged(x: Array, kernel: Array, strides, padding, problem: ConvProblem) -> Array:
    """A convolution with the kernel's channel axes exchanged in memory and in name."""
    return xla_conv.convolve(
        x,
        kernel.swapaxes(2, 3),
        strides,
        padding,
        kernel_dilation=problem.windows.dilation,
        numbers=("NHWC", "HWOI", "NHWC"),
        precision=problem.precision,
        preferred_element_type=problem.preferred_element_type,
    )


def _linear_in_kernel(inputs: Array, d_kernel: Array, problem: ConvProblem) -> Array:
    """conv(x, dk), a block of images at a time."""
    n, pixels = inputs.shape[0], math.prod(problem.windows.output_shape)
    together = _images_together(n, pixels)
    if together == n:
        return _channels_first(inputs, d_kernel, problem)
    block = jax.checkpoint(functools.partial(_channels_first, problem=problem), prevent_cse=False)
    blocks = inputs.reshape((n // together, together, *inputs.shape[1:]))
    _, outputs = lax.scan(lambda carry, x: (carry, block(x, d_kernel)), None, blocks)
    return outputs.reshape((n, *outputs.shape[2:]))


def _images_together(n: Size, pixels: Size) -> Size:
    """The least divisor of the number of images that makes a block, or all of them.

    All of them, too, where their number or their size is not known yet.
    """
    if not are_known(n, pixels):
        return n
    divisors = (m for m in range(BLOCK_IMAGES, n) if n % m == 0 and m * pixels >= BLOCK_PIXELS)
    return next(divisors, n)


def _channels_first(inputs: Array, d_kernel: Array, problem: ConvProblem) -> Array:
    """conv(x, dk) with channels first, so that its transpose is canonical."""
    windows = problem.windows
    outputs = xla_conv.convolve(
        inputs.transpose(3, 1, 2, 0),
        d_kernel.transpose(2, 0, 1, 3),
        windows.strides,
        windows.padding,
        kernel_dilation=windows.dilation,
        numbers=("CHWN", "IHWO", "HWNC"),
        precision=problem.precision,
        preferred_element_type=problem.preferred_element_type,
    )
    return outputs.transpose(2, 0, 1, 3)
