"""Depthwise convolution as a sum of shifted products, with a kernel tangent stated by rows.

Where every channel has its own taps there is no matrix product in a convolution:

    out[n, i, c] = sum over a of x[n, i*s + a*d, c] * kernel[a, c]

is, for each tap a, one slice of the padded input times one vector, and XLA fuses all of them into a
single pass over memory. So it does with the transpose towards the inputs. The transpose towards
the kernel,

    dL/dkernel[a, c] = sum over n, i of x[n, i*s + a*d, c] * g[n, i, c],

would be a reduction of its own for each tap, over all axes but the last, for which a CPU has no
good loop. The tangent of the kernel is therefore stated as a scan over the rows of the output, the
kernel repeated along a row first:

    dout[n, i, j, c] = sum over a, b of x[n, i*s + a*d, j*s + b*d, c] * dk[a, b, j, c],
    dk[a, b, j, c] = dkernel[a, b, c] for all j

JAX's transpose of that is a scan that adds x * g to an accumulator for each tap, element by
element, and one small sum over j at the end. A row is computed inside `jax.checkpoint`, since its
residuals would be all of its shifted slices.

Measured on two busy cores, float32, JAX 0.10.2, forward and backward, the least of nine: 3x3 with
128 channels on 32 images of 32x32 takes 198 ms with the transposes of the plain sum and 39 ms so,
and 20 MB of temporary memory in place of 136; XLA's own grouped convolution took above 3 s.
"""

import functools
import math
import operator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Inexact, Num

from jaxcnn.geometry import Size, Windows, are_known
from jaxcnn.lowering import slices
from jaxcnn.lowering.dtypes import sum_dtype
from jaxcnn.lowering.problem import ConvProblem, Typed

ROW_ELEMENTS = 8192  # images are taken together until a row of them is about as large


def unsupported(inputs: Typed, kernel: Typed, problem: ConvProblem) -> str | None:
    """Why this algorithm can't take the problem: it isn't depthwise."""
    if kernel.shape[-2] == 1:
        return None
    return (
        "needs a group for each input channel; received "
        f"{problem.feature_group_count} groups for {inputs.shape[-1]} channels"
    )


def conv(
    inputs: Num[Array, "n *spatial in_features"],
    kernel: Num[Array, "*kernel_size group_features out_features"],
    problem: ConvProblem,
) -> Num[Array, "n *out out_features"]:
    """Cross-correlates every channel with its own taps."""
    out_dtype = jnp.dtype(problem.preferred_element_type or inputs.dtype)
    wide = sum_dtype(out_dtype)
    inputs, kernel = inputs.astype(wide), kernel.astype(wide)
    multiplier = kernel.shape[-1] // inputs.shape[-1]
    if multiplier > 1:
        inputs = jnp.repeat(inputs, multiplier, axis=-1)
    differentiable = jnp.issubdtype(wide, jnp.inexact)
    convolve = _convolve if differentiable else _shifted_products
    return convolve(inputs, kernel[..., 0, :], problem.windows).astype(out_dtype)


def _shifted_products(
    inputs: Num[Array, "n *spatial channels"],
    kernel: Num[Array, "*kernel_size channels"],
    windows: Windows,
) -> Num[Array, "n *out channels"]:
    """Adds up, tap by tap, what the tap meets in all windows times its vector."""
    padded = slices.pad_for_windows(inputs, windows, 0)
    terms = (
        pixels * kernel[tap].reshape((1,) * (inputs.ndim - 1) + (-1,))
        for tap, pixels in slices.tap_slices(padded, windows)
    )
    return functools.reduce(operator.add, terms)


def _rows_of_products(
    inputs: Inexact[Array, "n *spatial channels"],
    kernel: Inexact[Array, "*kernel_size channels"],
    windows: Windows,
) -> Inexact[Array, "n *out channels"]:
    """The same sum as `_shifted_products`, row by row: its transpose to the kernel is fast."""
    padded = slices.pad_for_windows(inputs, windows, 0)
    (n, *_, width, channels), columns = padded.shape, windows.output_shape[-1]
    together = images_together(n, columns * channels)
    blocks = padded.reshape((n // max(together, 1), together, *padded.shape[1:]))
    along = {
        tap: jnp.broadcast_to(kernel[tap], (together, columns, channels))
        for tap in slices.taps(windows)
    }
    slab_shape = (together, *windows.effective_shape[:-1], width, channels)
    step, dilation, zero = windows.strides[-1], windows.dilation, np.int32(0)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def row(block: Array, start: tuple[Array, ...], along: dict[slices.Tap, Array]) -> Array:
        slab = lax.dynamic_slice(block, (zero, *start, zero, zero), slab_shape)
        terms = []
        for tap, weights in along.items():
            *above, first = (a * d for a, d in zip(tap, dilation, strict=True))
            pixels = slab[(slice(None), *above)]
            last = first + (columns - 1) * step + 1
            terms.append(lax.slice_in_dim(pixels, first, last, step, axis=1) * weights)
        return functools.reduce(operator.add, terms)

    def image(carry: None, block: Array) -> tuple[None, Array]:
        starts, count = row_starts(windows), math.prod(windows.output_shape[:-1])
        return lax.scan(lambda c, start: (c, row(block, start, along)), carry, starts, count)

    _, outputs = lax.scan(image, None, blocks)
    outputs = jnp.swapaxes(outputs, 1, 2)
    return outputs.reshape((n, *windows.output_shape, channels))


def row_starts(windows: Windows) -> tuple[np.ndarray, ...]:
    """Where the slab of each output row begins, along every spatial axis but the last."""
    rows = windows.output_shape[:-1]
    places = np.indices(rows, np.int32).reshape((len(rows), math.prod(rows)))
    return tuple(place * np.int32(s) for place, s in zip(places, windows.strides[:-1], strict=True))


def images_together(n: Size, row_elements: int) -> int:
    """The largest divisor of the number of images with which a row stays below `ROW_ELEMENTS`.

    It is 1 where their number is not known yet.
    """
    if not are_known(n):
        return 1
    most = max(ROW_ELEMENTS // row_elements, 1)
    return max((m for m in range(1, min(n, most) + 1) if n % m == 0), default=0)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _convolve(
    inputs: Inexact[Array, "n *spatial channels"],
    kernel: Inexact[Array, "*kernel_size channels"],
    windows: Windows,
) -> Inexact[Array, "n *out channels"]:
    """`_shifted_products` with the tangent of the kernel by rows."""
    return _shifted_products(inputs, kernel, windows)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _convolve_by_rows(
    inputs: Inexact[Array, "n *spatial channels"],
    kernel: Inexact[Array, "*kernel_size channels"],
    windows: Windows,
) -> Inexact[Array, "n *out channels"]:
    """`_rows_of_products` with the tangent of the inputs as shifted products, for second order."""
    if not windows.known:
        return _shifted_products(inputs, kernel, windows)
    return _rows_of_products(inputs, kernel, windows)


def _tangent(windows: Windows, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """The tangent of a product, that of each factor in the form whose transpose is fast."""
    inputs, kernel = primals
    moved_inputs, moved_kernel = tangents
    outputs = _convolve(inputs, kernel, windows)
    moved = jnp.zeros_like(outputs)
    if not isinstance(moved_inputs, SymbolicZero):
        moved = _convolve(moved_inputs, kernel, windows)
    if not isinstance(moved_kernel, SymbolicZero):
        by_kernel = _convolve_by_rows(inputs, moved_kernel, windows)
        moved = by_kernel if isinstance(moved_inputs, SymbolicZero) else moved + by_kernel
    return outputs, moved


_convolve.defjvp(_tangent, symbolic_zeros=True)
_convolve_by_rows.defjvp(_tangent, symbolic_zeros=True)
