"""Checks on array arguments that every function of this package shares.

A message names the function, the argument and what came, states the rule and says what would do.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from jaxcnn import geometry
from jaxcnn.geometry import Size


def array(function: str, argument: str, value: object) -> Array:
    """Returns `value` as a JAX array; lists and Python numbers are refused."""
    if isinstance(value, jax.Array):
        if jnp.issubdtype(value.dtype, jax.dtypes.extended):
            raise TypeError(f"{function}: `{argument}` must hold numbers, got dtype {value.dtype}")
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        kind = value.dtype.kind  # "V" holds NumPy's structures, and JAX's narrow numbers
        if kind in "OSUMm" or (kind == "V" and not jnp.issubdtype(value.dtype, jnp.number)):
            raise TypeError(f"{function}: `{argument}` must hold numbers, got dtype {value.dtype}")
        try:
            # Not jnp.asarray, which compiles a program for every shape. A copy, for on a CPU the
            # device shares NumPy's memory, which the caller may write to.
            return jax.device_put(value.astype(value.dtype.newbyteorder("=")))
        except TypeError:  # NumPy's long double and the like
            raise TypeError(
                f"{function}: `{argument}` must have a dtype that JAX knows, got {value.dtype}; "
                "cast it with astype"
            ) from None
    if hasattr(value, "__jax_array__"):
        return jnp.asarray(value)
    raise TypeError(
        f"{function}: `{argument}` must be an array, got {type(value).__name__}; "
        "convert it with jnp.asarray"
    )


def spatial_batch(
    function: str, inputs: Array, rank: int, *, because: str
) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Splits the shape of `inputs` into (batch, spatial sizes, channels).

    Args:
      function: the caller's name, for messages.
      inputs: `(*batch, *spatial, channels)`.
      rank: number of spatial axes.
      because: what sets `rank`, for the message.
    Raises:
      ValueError: too few axes, or no channels.
    """
    if inputs.ndim < rank + 1:
        raise ValueError(
            f"{function}: `inputs` must be (*batch, *spatial, channels) with {rank} spatial axes, "
            f"since {because}; received inputs {inputs.shape}"
        )
    split = inputs.ndim - rank - 1
    if geometry.surely_below(inputs.shape[-1], 1):
        raise ValueError(
            f"{function}: `inputs` must have at least one channel; received inputs {inputs.shape}"
        )
    return inputs.shape[:split], inputs.shape[split:-1], inputs.shape[-1]


def filled_axes(function: str, inputs: Array, sizes: Sequence[int]) -> None:
    """Refuses an empty spatial axis; only batch axes may be empty."""
    if 0 in sizes:
        raise ValueError(
            f"{function}: `inputs` must have no empty spatial axis; received inputs "
            f"{inputs.shape} (only batch axes may be empty)"
        )


def known_sizes(function: str, inputs: Array, sizes: Sequence[Size], because: str) -> None:
    """Refuses spatial sizes that `jax.export` leaves open.

    Raises:
      ValueError: one is symbolic.
    """
    if not geometry.are_known(*sizes):
        raise ValueError(
            f"{function}: `inputs` must have spatial sizes that are known when it is traced, "
            f"{because}; received inputs {inputs.shape}; leave only batch axes symbolic"
        )


def even_or_known(
    function: str, inputs: Array, sizes: Sequence[Size], counts: Sequence[Size]
) -> None:
    """Refuses unknown sizes that cannot be shared out evenly among so many windows.

    Raises:
      ValueError: one is symbolic, and no multiple of its number of windows.
    """
    for n, m in zip(sizes, counts, strict=True):
        if not geometry.are_known(n, m) and n % m != 0:
            because = f"or divide by the number of windows, and {n} does not by {m}"
            known_sizes(function, inputs, (n, m), because)


def countable_pixels(function: str, sizes: Sequence[int]) -> None:
    """Refuses spatial sizes with more pixels than int32 counts, which is what positions are in."""
    largest = np.iinfo(np.int32).max
    if geometry.surely_below(largest, math.prod(sizes)):
        raise ValueError(
            f"{function}: spatial sizes must have at most {largest} pixels together, so that their "
            f"positions fit int32; received {tuple(sizes)}, {math.prod(sizes)} pixels; "
            "take parts of them"
        )


def flatten_batch(inputs: Array, rank: int) -> Array:
    """Gathers all batch axes into one: (n, *spatial, channels)."""
    split = inputs.ndim - rank - 1
    if split == 1:
        return inputs
    return inputs.reshape((math.prod(inputs.shape[:split]), *inputs.shape[split:]))


def restore_batch(outputs: Array, batch: tuple[int, ...]) -> Array:
    """Undoes `flatten_batch` on what was computed from it."""
    if len(batch) == 1:
        return outputs
    return outputs.reshape((*batch, *outputs.shape[1:]))


def same_dtype(function: str, **arrays: Array) -> tuple[Array, ...]:
    """Promotes the arrays, given by their arguments' names, to their common dtype as `jnp` does.

    Raises:
      TypeError: the dtypes differ, and JAX is set to promote none ("strict").
    """
    try:
        dtype = jnp.result_type(*arrays.values())
    except jax.dtypes.TypePromotionError:
        names = " and ".join(f"`{name}`" for name in arrays)
        raise TypeError(
            f"{function}: {names} must have one dtype where `jax_numpy_dtype_promotion` is "
            f"'strict', got {' and '.join(str(value.dtype) for value in arrays.values())}; "
            "cast one of them with astype"
        ) from None
    return tuple(value.astype(dtype) for value in arrays.values())


def choice(function: str, argument: str, value: object, allowed: Sequence[str]) -> str:
    """Returns `value` if it is one of the `allowed` names."""
    if not isinstance(value, str):
        raise TypeError(
            f"{function}: `{argument}` (={value!r}) must be a string, one of {', '.join(allowed)}"
        )
    if value not in allowed:
        raise ValueError(
            f"{function}: `{argument}` (={value!r}) must be one of {', '.join(allowed)}"
        )
    return value


def flag(function: str, argument: str, value: object) -> bool:
    """Returns `value` if it is a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(
            f"{function}: `{argument}` (={value!r}) must be True or False, "
            f"got {type(value).__name__}"
        )
    return bool(value)


def bias_vector(function: str, bias: object, features: int) -> Array:
    """Returns `bias` if it is a vector of one entry per output feature."""
    vector = array(function, "bias", bias)
    if vector.shape != (features,):
        raise ValueError(
            f"{function}: `bias` must be ({features},), one entry per output feature; "
            f"received bias {vector.shape}"
        )
    return vector


_NUMPY_MODE: dict[str, str] = {
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}


def pad_spatial(function: str, inputs: Array, pairs: geometry.Pairs, mode: str) -> Array:
    """Pads the spatial axes of (n, *spatial, channels) with the fill that `mode` names.

        replicate 111|1234|444     reflect 432|1234|321     circular 234|1234|123

    Amounts beyond the image go on mirroring or wrapping around; one pixel is mirrored into itself.
    The fills that copy pixels go one axis after the other, each behind a barrier: fused with their
    reader, their transposes made the gradient of a 3x3 blur 18 times as slow (XLA on 2 CPU cores).

    Raises:
      ValueError: a size or an amount is symbolic, and may be such that pixels are copied again.
    """
    pad: Callable[..., Array] = jnp.pad
    if mode == "zeros":
        return pad(inputs, ((0, 0), *pairs, (0, 0)))
    for axis, pair in enumerate(pairs, start=1):
        if pair == (0, 0):
            continue
        n, (low, high) = inputs.shape[axis], pair
        if mode != "replicate" and not geometry.are_known(n, low, high):
            _known_amounts(function, inputs, axis, pair, mode)
        if mode == "circular" and not geometry.are_known(n):
            before = lax.slice_in_dim(inputs, n - low, n, axis=axis)
            after = lax.slice_in_dim(inputs, 0, high, axis=axis)
            padded = lax.concatenate([before, inputs, after], axis)
        else:
            widths = [(0, 0)] * inputs.ndim
            widths[axis] = pair
            padded = pad(inputs, widths, mode=_NUMPY_MODE[mode])
        inputs = lax.optimization_barrier(padded)
    return inputs


def _known_amounts(
    function: str, inputs: Array, axis: int, pair: tuple[Size, Size], mode: str
) -> None:
    """Refuses to fill a padding whose amounts may be larger than the image, or are not known.

    Raises:
      ValueError: they may.
    """
    n, spare = inputs.shape[axis], 1 if mode == "circular" else 0
    fits = all(geometry.surely_below(amount, n + spare) for amount in pair)
    if not geometry.are_known(*pair) or not fits:
        raise ValueError(
            f"{function}: `padding_mode` (={mode!r}) needs padding that is known when it is "
            f"traced, and smaller than the image; received padding {pair} along an axis of {n} "
            "pixels; pad by ints, and give the symbolic size a constraint such as 'h >= 8'"
        )


def dilate_spatial(inputs: Array, rate: Sequence[int]) -> Array:
    """Puts rate - 1 zeros between neighbouring pixels of (n, *spatial, channels)."""
    if all(step == 1 for step in rate):
        return inputs
    config = ((0, 0, 0), *((0, 0, step - 1) for step in rate), (0, 0, 0))
    return lax.pad(inputs, jnp.zeros((), inputs.dtype), config)
