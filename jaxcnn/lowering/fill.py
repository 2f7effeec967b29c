"""Padding with pixels: reflected, replicated, wrapped around, and the transpose of that."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Num, Shaped

from jaxcnn import geometry
from jaxcnn.geometry import Pairs, Size, Windows
from jaxcnn.lowering import halo
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.lowering.choices import fill_choice
from jaxcnn.lowering.per_platform import PerPlatform
from jaxcnn.lowering.problem import Typed

_NUMPY_MODE: dict[str, str] = {
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}


def lay(
    inputs: Shaped[Array, "n *spatial channels"], windows: Windows, mode: str | None
) -> tuple[Shaped[Array, "n *padded channels"], Windows]:
    """Dilates and pads images where a fill is asked for, with their windows over what results.

    Without one (None) the padding is left to whoever knows its neutral element.
    """
    if mode is None:
        return inputs, windows

    def laid(inputs: Array) -> Array:
        return pad(dilate(inputs, windows.input_dilation), windows.padding, mode)

    return halo.apart(laid, ("inputs",), {"inputs": inputs}), windows.padded()


def dilate(
    inputs: Shaped[Array, "n *spatial channels"], rates: tuple[int, ...]
) -> Shaped[Array, "n *dilated channels"]:
    """Puts rate - 1 zeros between neighbouring pixels."""
    if all(step == 1 for step in rates):
        return inputs
    config = ((0, 0, 0), *((0, 0, step - 1) for step in rates), (0, 0, 0))
    return lax.pad(inputs, jnp.zeros((), inputs.dtype), config)


def pad(
    inputs: Shaped[Array, "n *spatial channels"], pairs: Pairs, mode: str
) -> Shaped[Array, "n *padded channels"]:
    """Pads the spatial axes with the fill that `mode` names.

        replicate 111|1234|444     reflect 432|1234|321     circular 234|1234|123

    Amounts beyond the image go on mirroring or wrapping around; one pixel is mirrored into itself.
    """
    if mode == "zeros":  # not by `jnp.pad`, axis by axis: XLA takes but one into a convolution
        config = ((0, 0, 0), *((low, high, 0) for low, high in pairs), (0, 0, 0))
        return lax.pad(inputs, jnp.zeros((), inputs.dtype), config)
    if all(pair == (0, 0) for pair in pairs):
        return inputs
    return by_platform(Padded(pairs, mode), inputs)[0]


@dataclasses.dataclass(frozen=True)
class Padded(PerPlatform):
    """The fills that copy pixels."""

    pairs: Pairs
    mode: str

    def shown(self, axis: int, size: int) -> list[int]:
        """Which of the pixels along a spatial axis stands at each place."""
        mode: Any = _NUMPY_MODE[self.mode]
        return np.pad(np.arange(size), self.pairs[axis], mode=mode).tolist()

    def on(self, platform: str) -> Callable[..., list[Array]]:
        lay = FILL_ALGORITHMS[fill_choice(platform).algorithm]
        return lambda inputs: [lay(inputs, self.pairs, self.mode)]

    def outputs(self, operands: Sequence[Typed]) -> list[jax.ShapeDtypeStruct]:
        (inputs,) = operands
        sizes = zip(inputs.shape[1:-1], self.pairs, strict=True)
        padded = (size + low + high for size, (low, high) in sizes)
        shape = (inputs.shape[0], *padded, inputs.shape[-1])
        return [jax.ShapeDtypeStruct(shape, inputs.dtype)]


def _by_axes(inputs: Array, pairs: Pairs, mode: str) -> Array:
    """One axis after the other, each behind a barrier.

    Fused with their reader, the transposes made the gradient of a 3x3 blur 18 times as slow (XLA on
    2 CPU cores).
    """
    for axis, pair in enumerate(pairs, start=1):
        if pair != (0, 0):
            inputs = lax.optimization_barrier(_along(inputs, axis, pair, mode))
    return inputs


def _at_once(inputs: Array, pairs: Pairs, mode: str) -> Array:
    """All axes fused into one kernel, and so their transpose.

    Compiled for an H100, a 3x3 convolution of 32x32x32x64 padded by 1 in any of these modes,
    forward and backward: 7 kernels and 90 MB, as with `jnp.pad`; axis by axis 9 and 126.
    """
    if geometry.are_known(*inputs.shape[1:-1]):
        numpy_pad: Callable[..., Array] = jnp.pad
        return numpy_pad(inputs, ((0, 0), *pairs, (0, 0)), mode=_NUMPY_MODE[mode])
    for axis, pair in enumerate(pairs, start=1):
        if pair != (0, 0):
            inputs = _along(inputs, axis, pair, mode)
    return inputs


def _along(inputs: Array, axis: int, pair: tuple[int, int], mode: str) -> Array:
    n, (low, high) = inputs.shape[axis], pair
    if mode == "circular" and not geometry.are_known(n):
        before = lax.slice_in_dim(inputs, n - low, n, axis=axis)
        after = lax.slice_in_dim(inputs, 0, high, axis=axis)
        return lax.concatenate([before, inputs, after], axis)
    numpy_pad: Callable[..., Array] = jnp.pad
    widths = [(0, 0)] * inputs.ndim
    widths[axis] = pair
    return numpy_pad(inputs, widths, mode=_NUMPY_MODE[mode])


FILL_ALGORITHMS = {"axes": _by_axes, "at once": _at_once}


def unpad(
    outputs: Num[Array, "n *padded channels"], windows: Windows, mode: str
) -> Num[Array, "n *spatial channels"]:
    """Transposes `pad`: what arrived in the padding goes to the pixel that is shown there."""

    def transposed(outputs: Array) -> Array:
        return by_platform(_Unpadded(windows.sizes, windows.padding, mode), outputs)[0]

    return halo.apart(transposed, ("outputs",), {"outputs": outputs})


@dataclasses.dataclass(frozen=True)
class _Unpadded(PerPlatform):
    """The transpose of such a fill, of integers too, which have no derivative to transpose."""

    sizes: tuple[Size, ...]
    pairs: Pairs
    mode: str

    def on(self, platform: str) -> Callable[..., list[Array]]:
        lay = FILL_ALGORITHMS[fill_choice(platform).algorithm]

        def padded(inputs: Array) -> Array:
            return lay(inputs, self.pairs, self.mode)

        def transposed(outputs: Array) -> list[Array]:
            inside = outputs
            pairs = zip(self.sizes, self.pairs, strict=True)
            for axis, (size, (low, _)) in enumerate(pairs, 1):
                inside = lax.slice_in_dim(inside, low, low + size, axis=axis)
            # of what it is transposed at, the type alone counts
            return list(jax.linear_transpose(padded, inside)(outputs))

        return transposed

    def outputs(self, operands: Sequence[Typed]) -> list[jax.ShapeDtypeStruct]:
        (outputs,) = operands
        shape = (outputs.shape[0], *self.sizes, outputs.shape[-1])
        return [jax.ShapeDtypeStruct(shape, outputs.dtype)]
