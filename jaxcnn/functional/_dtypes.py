"""Which dtypes a product of arrays may have, and in what it accumulates."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array

from jaxcnn.functional._arguments import same_dtype
from jaxcnn.lowering.problem import Precision


def product_dtypes(
    function: str,
    inputs: Array,
    kernel: Array,
    preferred_element_type: DTypeLike | None,
    kernel_argument: str = "kernel",
) -> tuple[Array, Array, DTypeLike | None]:
    """Promotes both arrays to one dtype and checks the one that sums of products take.

    Where XLA would refuse a preferred type of other signedness or kind than the inputs', or inputs
    of 4 bits, both arrays are cast to it first, which changes no value.

    Raises:
      TypeError: booleans, or a preferred type that is no dtype or narrower than the inputs.
      ValueError: 8-bit integers without a preferred type, since their sums would wrap.
    """
    inputs, kernel = same_dtype(function, **{"inputs": inputs, kernel_argument: kernel})
    dtype = inputs.dtype
    if dtype == jnp.bool_:
        raise TypeError(
            f"{function}: `inputs` and `{kernel_argument}` must hold numbers, got bool; cast them "
            "with astype"
        )
    if preferred_element_type is None:
        if jnp.issubdtype(dtype, jnp.integer) and jnp.iinfo(dtype).bits <= 8:
            raise ValueError(
                f"{function}: `preferred_element_type` (=None) must be given for {dtype} inputs, "
                "whose sums would wrap; write preferred_element_type=jnp.int32"
            )
        return inputs, kernel, None
    try:
        if isinstance(preferred_element_type, (jax.Array, np.ndarray, np.generic)):
            raise TypeError  # an array has a dtype and is none
        preferred = jnp.dtype(preferred_element_type)
    except TypeError:
        raise TypeError(
            f"{function}: `preferred_element_type` (={preferred_element_type!r}) must be a dtype"
        ) from None
    kinds = (jnp.integer, jnp.floating, jnp.complexfloating)
    source, target = (
        next((i for i, kind in enumerate(kinds) if jnp.issubdtype(d, kind)), -1)
        for d in (dtype, preferred)
    )
    if source < 0 or target < source or not _holds(preferred, dtype):
        raise TypeError(
            f"{function}: `preferred_element_type` (={preferred}) must hold every {dtype}; "
            "take a wider dtype of the same kind"
        )
    signed = jnp.issubdtype(dtype, jnp.signedinteger), jnp.issubdtype(preferred, jnp.signedinteger)
    packed = source == 0 and jnp.iinfo(dtype).bits < 8
    if source != target or signed[0] != signed[1] or packed:
        return inputs.astype(preferred), kernel.astype(preferred), None
    return inputs, kernel, preferred


def _holds(wide: jnp.dtype, narrow: jnp.dtype) -> bool:
    """Whether `wide` has every number of `narrow`; of integers in a float as large, near enough."""
    if jnp.issubdtype(wide, jnp.integer):
        outer, inner = jnp.iinfo(wide), jnp.iinfo(narrow)
        return outer.min <= inner.min and outer.max >= inner.max
    if jnp.issubdtype(narrow, jnp.integer):
        return wide.itemsize >= narrow.itemsize
    outer, inner = jnp.finfo(wide), jnp.finfo(narrow)
    return outer.nmant >= inner.nmant and outer.maxexp >= inner.maxexp


def product_precision(function: str, precision: Precision) -> Precision:
    """Returns `precision` if it is one that `lax` takes, or a pair of them.

    Raises:
      ValueError: no such precision.
      TypeError: not a precision at all.
    """
    entries = precision if isinstance(precision, tuple) else (precision, precision)
    if len(entries) != 2:
        raise ValueError(
            f"{function}: `precision` (={precision!r}) must be one precision or a pair of them"
        )
    for entry in entries:
        if entry is None or isinstance(entry, (lax.Precision, lax.DotAlgorithmPreset)):
            continue
        if not isinstance(entry, str):
            raise TypeError(
                f"{function}: `precision` (={precision!r}) must be None, a string, "
                "jax.lax.Precision, or a pair of them"
            )
        try:
            lax.Precision(entry)
        except ValueError:
            raise ValueError(
                f"{function}: `precision` (={precision!r}) must be one that jax.lax.Precision "
                "knows, such as 'default', 'high' or 'highest'"
            ) from None
    return precision


def comparable(function: str, inputs: Array) -> Array:
    """Returns `inputs` if a maximum of it makes sense.

    Raises:
      TypeError: complex numbers, which have no order, or booleans.
    """
    if inputs.dtype == jnp.bool_ or jnp.issubdtype(inputs.dtype, jnp.complexfloating):
        raise TypeError(
            f"{function}: `inputs` must hold real numbers, which have a maximum, "
            f"got {inputs.dtype}; cast them with astype"
        )
    return inputs


def averageable(function: str, inputs: Array) -> Array:
    """Returns `inputs` in the dtype of its average: its own, or for integers that of `jnp.mean`.

    Raises:
      TypeError: booleans.
    """
    if inputs.dtype == jnp.bool_:
        raise TypeError(f"{function}: `inputs` must hold numbers, got bool; cast them with astype")
    return inputs.astype(jax.eval_shape(jnp.mean, inputs).dtype)


def floating(function: str, argument: str, value: Array) -> Array:
    """Returns `value` if it holds real floats.

    Raises:
      TypeError: any other dtype.
    """
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(
            f"{function}: `{argument}` must hold floats, got {value.dtype}; cast it with astype"
        )
    return value
