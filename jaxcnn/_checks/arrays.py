"""Checks of array arguments, by their shapes and dtypes."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxcnn import geometry
from jaxcnn.geometry import Size, Windows
from jaxcnn.lowering.problem import Typed


def array(argument: str, value: object) -> Array:
    """Returns `value` as a JAX array; lists and Python numbers are refused."""
    if isinstance(value, jax.Array):
        if jnp.issubdtype(value.dtype, jax.dtypes.extended):
            raise TypeError(f"`{argument}` must hold numbers, got dtype {value.dtype}")
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        kind = value.dtype.kind  # "V" holds NumPy's structures, and JAX's narrow numbers
        if kind in "OSUMm" or (kind == "V" and not jnp.issubdtype(value.dtype, jnp.number)):
            raise TypeError(f"`{argument}` must hold numbers, got dtype {value.dtype}")
        try:
            # Not jnp.asarray, which compiles a program for every shape. A copy, for on a CPU the
            # device shares NumPy's memory, which the caller may write to.
            return jax.device_put(value.astype(value.dtype.newbyteorder("=")))
        except TypeError:  # NumPy's long double and the like
            raise TypeError(
                f"`{argument}` must have a dtype that JAX knows, got {value.dtype}; "
                "cast it with astype"
            ) from None
    if hasattr(value, "__jax_array__"):
        return jnp.asarray(value)
    raise TypeError(
        f"`{argument}` must be an array, got {type(value).__name__}; convert it with jnp.asarray"
    )


def spatial_batch(
    inputs: Typed, rank: int, *, because: str
) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Splits the shape of `inputs` into (batch, spatial sizes, channels).

    Args:
      inputs: `(*batch, *spatial, channels)`.
      rank: number of spatial axes.
      because: what sets `rank`, for the message.
    Raises:
      ValueError: too few axes, or no channels.
    """
    if inputs.ndim < rank + 1:
        raise ValueError(
            f"`inputs` must be (*batch, *spatial, channels) with {rank} spatial axes, "
            f"since {because}; received inputs {inputs.shape}"
        )
    split = inputs.ndim - rank - 1
    if geometry.surely_below(inputs.shape[-1], 1):
        raise ValueError(f"`inputs` must have at least one channel; received inputs {inputs.shape}")
    return inputs.shape[:split], inputs.shape[split:-1], inputs.shape[-1]


def filled_axes(inputs: Typed, sizes: Sequence[int]) -> None:
    """Refuses an empty spatial axis; only batch axes may be empty."""
    if 0 in sizes:
        raise ValueError(
            f"`inputs` must have no empty spatial axis; received inputs "
            f"{inputs.shape} (only batch axes may be empty)"
        )


def known_sizes(inputs: Typed, sizes: Sequence[Size], because: str) -> None:
    """Refuses spatial sizes that `jax.export` leaves open.

    Raises:
      ValueError: one is symbolic.
    """
    if not geometry.are_known(*sizes):
        raise ValueError(
            f"`inputs` must have spatial sizes that are known when it is traced, "
            f"{because}; received inputs {inputs.shape}; leave only batch axes symbolic"
        )


def even_or_known(inputs: Typed, sizes: Sequence[Size], counts: Sequence[Size]) -> None:
    """Refuses unknown sizes that cannot be shared out evenly among so many windows.

    Raises:
      ValueError: one is symbolic, and no multiple of its number of windows.
    """
    for n, m in zip(sizes, counts, strict=True):
        if not geometry.are_known(n, m) and n % m != 0:
            because = f"or divide by the number of windows, and {n} does not by {m}"
            known_sizes(inputs, (n, m), because)


def countable_pixels(sizes: Sequence[int]) -> None:
    """Refuses spatial sizes with more pixels than int32 counts, which is what positions are in."""
    largest = np.iinfo(np.int32).max
    if geometry.surely_below(largest, math.prod(sizes)):
        raise ValueError(
            f"spatial sizes must have at most {largest} pixels together, so that their "
            f"positions fit int32; received {tuple(sizes)}, {math.prod(sizes)} pixels; "
            "take parts of them"
        )


def fill(windows: Windows, mode: str, *neutral: str) -> str | None:
    """What the padding of `windows` is filled with; None where there is none to fill.

    That is where nothing is padded, and in the `neutral` modes, which a lowering sees to itself.

    Raises:
      ValueError: a size or an amount is symbolic, and may be such that pixels are copied again.
    """
    if mode in neutral or all(pair == (0, 0) for pair in windows.padding):
        return None
    spare = 1 if mode == "circular" else 0
    for n, pair in zip(windows.dilated_sizes, windows.padding, strict=True):
        known = mode in ("zeros", "replicate") or geometry.are_known(n, *pair)
        if known or pair == (0, 0):
            continue
        fits = all(geometry.surely_below(amount, n + spare) for amount in pair)
        if not geometry.are_known(*pair) or not fits:
            raise ValueError(
                f"`padding_mode` (={mode!r}) needs padding that is known when it is traced, and "
                f"smaller than the image; received padding {pair} along an axis of {n} pixels; pad "
                "by ints, and give the symbolic size a constraint such as 'h >= 8'"
            )
    return mode
