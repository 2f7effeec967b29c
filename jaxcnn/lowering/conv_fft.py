"""Depthwise convolution with many taps, by the Fourier transform.

With hats for the discrete Fourier transform of length m over the spatial axes,

    y[i, c] = sum over a of x[i + a*d, c] * kernel[a, c]    has    y^ = x^ * conj(kernel^)

where the taps stand d pixels apart and the sum wraps around at m. The padded input has P <= m
pixels and a window spans e, so that no window i <= P - e reaches m: those y are the convolution's,
and every s-th of them is kept. The work is that of three transforms whatever the number of taps;
31x31 taps over 32 channels took 4.5 ms against 488 of XLA's grouped convolution.

A transform of length m errs by about eps*log2(m) times the root mean square of what it is given, so
that each output, and likewise each entry of the gradients, errs by about

    eps * log2(m) * max |x| * sum |kernel|        (the maximum over the plane of its channel)

and not by what its own window holds: of ones with one 1e8 a window of 100 ones that doesn't see it
sums to 97 or 102 in float32, and a NaN or infinity spreads over the plane. "auto" never takes it.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Num

from jaxcnn.lowering import conv_shift, slices
from jaxcnn.lowering.dtypes import sum_dtype
from jaxcnn.lowering.problem import ConvProblem, Typed


def unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem: not depthwise, not real, or above three axes."""
    if not jnp.issubdtype(inputs.dtype, jnp.floating):
        return f"needs real floating inputs; received {inputs.dtype}"
    if not problem.windows.known:
        return f"needs spatial sizes that are known when traced; received {problem.windows.sizes}"
    if problem.windows.rank > 3:
        return f"transforms at most 3 spatial axes; received {problem.windows.rank}"
    return conv_shift.unsupported(inputs, kernel, problem)


def conv(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
) -> Num[Array, "n *out out_features"]:
    """Multiplies the transforms of padded input and kernel, channel by channel."""
    out_dtype = jnp.dtype(problem.preferred_element_type or inputs.dtype)
    wide = sum_dtype(out_dtype)
    windows, axes = problem.windows, tuple(range(1, problem.windows.rank + 1))
    padded = slices.pad_for_windows(inputs.astype(wide), windows, 0)
    lengths = tuple(map(fast_length, padded.shape[1:-1]))
    taps = kernel[..., 0, :].astype(wide)[None]
    zero, apart = jnp.zeros((), wide), [(0, 0, d - 1) for d in windows.dilation]
    taps = lax.pad(taps, zero, ((0, 0, 0), *apart, (0, 0, 0)))
    multiplier = taps.shape[-1] // padded.shape[-1]
    spectrum = jnp.fft.rfftn(padded, lengths, axes)
    if multiplier > 1:
        spectrum = jnp.repeat(spectrum, multiplier, axis=-1)
    products = spectrum * jnp.conj(jnp.fft.rfftn(taps, lengths, axes))
    outputs = jnp.fft.irfftn(products, lengths, axes)
    ends = [(o - 1) * s + 1 for o, s in zip(windows.output_shape, windows.strides, strict=True)]
    outputs = lax.slice(
        outputs,
        (0,) * outputs.ndim,
        (outputs.shape[0], *ends, outputs.shape[-1]),
        (1, *windows.strides, 1),
    )
    return outputs.astype(out_dtype)


def fast_length(size: int) -> int:
    """The least number that is not below `size` and has no prime factor above 5."""
    length = size
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
