"""Windows over images whose size is not known yet, and which may turn out smaller than a window.

Slices and padded images must not be of negative size, whatever the size will be. So one window is
computed at the least, over an image that is padded to hold it, and cropped away in the end where
none fits: then the output is empty, as that of `lax` is.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Shaped

from jaxcnn import geometry
from jaxcnn.geometry import Windows


def with_a_window(windows: Windows) -> Windows:
    """The same windows, at least one along each axis."""
    counts = tuple(geometry.larger(count, 1) for count in windows.output_shape)
    return dataclasses.replace(windows, output_shape=counts)


def resized(
    outputs: Shaped[Array, "..."],
    now: Windows,
    wanted: Windows,
    axes: Sequence[int] | None = None,
) -> Shaped[Array, "..."]:
    """Crops outputs for the windows `now` to those of `wanted`, or pads them with zeros.

    `axes` are those of the windows: the second and those that follow, if None.
    """
    if now == wanted:
        return outputs
    config = [(0, 0, 0)] * outputs.ndim
    for i, axis in enumerate(range(1, now.rank + 1) if axes is None else axes):
        config[axis] = (0, wanted.output_shape[i] - now.output_shape[i], 0)
    return lax.pad(outputs, jnp.zeros((), outputs.dtype), config)


def spare_no_window(compute: Callable[..., Any]) -> Callable[..., Any]:
    """Has a lowering compute one window at least, and drops what is not there."""

    @functools.wraps(compute)
    def cropped(*args: Any) -> Any:
        (windows,) = (arg for arg in args if isinstance(arg, Windows))
        enough = with_a_window(windows)
        if enough == windows:
            return compute(*args)
        outputs = compute(*(enough if arg is windows else arg for arg in args))
        return jax.tree.map(lambda array: resized(array, enough, windows), outputs)

    return cropped
