"""Upsampling by copies or by linear interpolation, axis by axis, pixels taken as unit squares.

Output pixel i of m has its centre at u = (i + 1/2)*n/m - 1/2 in the coordinates of the n input
pixels, and the ends go on as they are. Where n divides m, position and weights of i depend on i
modulo m/n alone, and slices do: their transposes are slices too. Other ratios gather.

Rows that many devices share are resized where they lie if n divides m: nearest neighbours need no
others, and linear interpolation one row of each side, of the devices before and after.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Num

from jaxcnn import geometry
from jaxcnn.geometry import Size, Windows
from jaxcnn.lowering import halo
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.choices import resize_choice
from jaxcnn.lowering.dtypes import widen
from jaxcnn.lowering.per_platform import PerPlatform
from jaxcnn.lowering.problem import Typed
from jaxcnn.lowering.take import take_in_order


def resize(
    inputs: Num[Array, "n *spatial channels"], resized_shape: tuple[Size, ...], method: str
) -> Num[Array, "n *resized channels"]:
    """Upsamples every spatial axis to its entry of `resized_shape`, by "nearest" or "linear".

    16-bit floats are interpolated in float32 and rounded once.
    """

    sizes, reach = inputs.shape[1:-1], REACH[method]
    if halo.asked.value is not None and _whole_factor(sizes[0], resized_shape[0]):
        others = (1,) * (len(sizes) - 1)
        around = ((reach, reach), *[(0, 0)] * len(others))
        windows = geometry.windows(sizes, (2 * reach + 1, *others), padding=around)
        copies = resized_shape[0] // sizes[0]
        outputs = _of_rows(inputs, windows, copies, resized_shape[1:], method)
        return outputs.reshape((inputs.shape[0], *resized_shape, inputs.shape[-1]))

    def resized(inputs: Array) -> Array:
        return _resize(inputs, resized_shape, method)

    return halo.apart(resized, ("inputs",), {"inputs": inputs})


def _whole_factor(size: Size, resized: Size) -> bool:
    return geometry.are_known(size, resized) and resized % size == 0


@halo.by_rows()
def _of_rows(
    inputs: Array,
    windows: Windows,
    copies: int,
    others: tuple[int, ...],
    method: str,
    real: Array | None = None,
) -> Array:
    """`(n, rows, copies, *others, channels)`: what becomes of the row in each window's middle.

    The rows around it that are not in the padding are resized too, and dropped.
    """
    if real is not None:
        inputs = _ends_going_on(inputs, real)
    rows, before = windows.output_shape[0], REACH[method] - windows.padding[0][0]
    outputs = _resize(inputs, (inputs.shape[1] * copies, *others), method)
    outputs = lax.slice_in_dim(outputs, before * copies, (before + rows) * copies, axis=1)
    return outputs.reshape((inputs.shape[0], rows, copies, *outputs.shape[2:]))


def _ends_going_on(inputs: Array, real: Array) -> Array:
    """The first and the last real row once more beside them."""
    along = (1, -1) + (1,) * (inputs.ndim - 2)
    before_real = jnp.append(real[1:], False).reshape(along)
    following = lax.concatenate([inputs[:, 1:], inputs[:, -1:]], 1)
    previous = lax.concatenate([inputs[:, :1], inputs[:, :-1]], 1)
    return jnp.where(real.reshape(along), inputs, jnp.where(before_real, following, previous))


def _resize(inputs: Array, resized_shape: tuple[Size, ...], method: str) -> Array:
    dtype = inputs.dtype
    if method == "linear" and jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4:
        inputs = inputs.astype(jnp.float32)
    if resized_shape != inputs.shape[1:-1]:
        (inputs,) = by_platform(_Resized(resized_shape, method), inputs)
    return inputs.astype(dtype)


@dataclasses.dataclass(frozen=True)
class _Resized(PerPlatform):
    resized_shape: tuple[Size, ...]
    method: str

    def on(self, platform: str) -> Callable[..., list[Array]]:
        def compute(inputs: Array) -> list[Array]:
            choice = resize_choice(platform, inputs.shape[1:-1], self.resized_shape)
            resized = RESIZE_ALGORITHMS[choice.algorithm]
            return [resized(inputs, self.resized_shape, self.method)]

        return compute

    def outputs(self, operands: Sequence[Typed]) -> list[jax.ShapeDtypeStruct]:
        (inputs,) = operands
        shape = (inputs.shape[0], *self.resized_shape, inputs.shape[-1])
        return [jax.ShapeDtypeStruct(shape, inputs.dtype)]


def _by_axes(inputs: Array, resized_shape: tuple[Size, ...], method: str) -> Array:
    return _along_axes(inputs, resized_shape, _AXIS[method])


def _by_gathers(inputs: Array, resized_shape: tuple[Size, ...], method: str) -> Array:
    along = _nearest_gathered if method == "nearest" else _linear
    return _along_axes(inputs, resized_shape, along)


def _by_copies(inputs: Array, resized_shape: tuple[Size, ...], method: str) -> Array:
    """Nearest neighbours of whole factors: every pixel copied along all axes at once.

    Widened, since the transpose adds up.
    """
    if method != "nearest":
        return _by_axes(inputs, resized_shape, method)
    n, *sizes, channels = inputs.shape
    wide, apart, copied = widen(inputs), [n], [n]
    for size, resized in zip(sizes, resized_shape, strict=True):
        apart += [size, 1]
        copied += [size, resized // size]
    wide = jnp.broadcast_to(wide.reshape((*apart, channels)), (*copied, channels))
    return wide.reshape((n, *resized_shape, channels)).astype(inputs.dtype)


def _along_axes(
    outputs: Array, resized_shape: tuple[Size, ...], along: Callable[[Array, int, Size], Array]
) -> Array:
    for axis, size in enumerate(resized_shape, start=1):
        if size != outputs.shape[axis]:
            outputs = along(outputs, axis, size)
    return outputs


def _nearest(inputs: Array, axis: int, size: Size) -> Array:
    """Copies the input pixel on which each output pixel's centre lies."""
    n = inputs.shape[axis]
    if size % n == 0:
        return _side_by_side([inputs] * (size // n), axis)
    return _nearest_gathered(inputs, axis, size)


def _nearest_gathered(inputs: Array, axis: int, size: int) -> Array:
    n = inputs.shape[axis]
    return take_in_order(inputs, [(2 * i + 1) * n // (2 * size) for i in range(size)], axis)


def _linear(inputs: Array, axis: int, size: Size) -> Array:
    """Weighs the two input pixels between which each output pixel's centre lies."""
    n = inputs.shape[axis]
    first, last = (lax.slice_in_dim(inputs, i, i + 1, axis=axis) for i in (0, n - 1))
    padded = lax.concatenate([first, inputs, last], axis)
    # u = lower + fraction / (2*size), in whole numbers; the padding moves `lower` on by one
    whole = size % n == 0
    pixels, phases = (1, size // n) if whole else (n, size)  # n need not be known for the former
    lower, fraction = np.divmod((2 * np.arange(phases) + 1) * pixels - phases, 2 * phases)
    weights = fraction / (2 * phases)
    if whole:
        parts = []
        for start, weight in zip((lower + 1).tolist(), weights.tolist(), strict=True):
            left, right = (
                lax.slice_in_dim(padded, start + i, start + i + n, axis=axis) for i in (0, 1)
            )
            parts.append((1 - weight) * left + weight * right if weight else left)
        return _side_by_side(parts, axis)
    left, right = (take_in_order(padded, (lower + 1 + i).tolist(), axis) for i in (0, 1))
    shape = [1] * inputs.ndim
    shape[axis] = size
    weight = jnp.asarray(weights, inputs.dtype).reshape(shape)
    mixed = (1 - weight) * left + weight * right
    if weights.all():
        return mixed
    # Where a centre lies on a pixel, 0 times the next one would be NaN if that is no number.
    return jnp.where(np.reshape(weights, shape) == 0, left, mixed)


def _side_by_side(parts: list[Array], axis: int) -> Array:
    """Interleaves along `axis`: pixel j of part f goes to j*len(parts) + f."""
    stacked = jnp.stack(parts, axis + 1)
    shape = list(parts[0].shape)
    shape[axis] *= len(parts)
    return stacked.reshape(shape)


_AXIS = {"nearest": _nearest, "linear": _linear}
METHODS = tuple(_AXIS)
REACH = {"nearest": 0, "linear": 1}  # pixels on each side that a pixel's copies see
RESIZE_ALGORITHMS = {
    "axes": _by_axes,
    "gather": _by_gathers,
    "copies": _by_copies,
}
