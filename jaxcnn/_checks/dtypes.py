"""Which dtypes arrays may have, alone and together, and in what their products accumulate."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxcnn.lowering.problem import Typed


def common_dtype(**arrays: Typed) -> jnp.dtype:
    """The dtype that `jnp` promotes the arrays to, given by their arguments' names.

    Raises:
      TypeError: the dtypes differ, and JAX is set to promote none ("strict").
    """
    try:
        return jnp.result_type(*map(_typed, arrays.values()))
    except jax.dtypes.TypePromotionError:
        names = " and ".join(f"`{name}`" for name in arrays)
        raise TypeError(
            f"{names} must have one dtype where `jax_numpy_dtype_promotion` is 'strict', got "
            f"{' and '.join(str(value.dtype) for value in arrays.values())}; "
            "cast one of them with astype"
        ) from None


def _typed(value: Typed) -> Any:
    """A dtype, or a Python number for an array whose dtype gives way as that of a number does."""
    if not getattr(value, "weak_type", False):
        return value.dtype
    return value.dtype.type(0).item()


def product_dtypes(
    inputs: Typed,
    kernel: Typed,
    preferred_element_type: DTypeLike | None,
    kernel_argument: str = "kernel",
) -> tuple[jnp.dtype, jnp.dtype | None]:
    """The dtype that both arrays are promoted to, and the one that XLA is told to sum in, if any.

    Where XLA would refuse a preferred type of other signedness or kind than the inputs', or inputs
    of 4 bits, both arrays are cast to it first, which changes no value.

    Raises:
      TypeError: booleans, or a preferred type that is no dtype or narrower than the inputs.
      ValueError: 8-bit integers without a preferred type, since their sums would wrap.
    """
    dtype = common_dtype(**{"inputs": inputs, kernel_argument: kernel})
    if dtype == jnp.bool_:
        raise TypeError(
            f"`inputs` and `{kernel_argument}` must hold numbers, got bool; cast them with astype"
        )
    if preferred_element_type is None:
        if jnp.issubdtype(dtype, jnp.integer) and jnp.iinfo(dtype).bits <= 8:
            raise ValueError(
                f"`preferred_element_type` (=None) must be given for {dtype} inputs, "
                "whose sums would wrap; write preferred_element_type=jnp.int32"
            )
        return dtype, None
    try:
        if isinstance(preferred_element_type, (jax.Array, np.ndarray, np.generic)):
            raise TypeError  # an array has a dtype and is none
        preferred = jnp.dtype(preferred_element_type)
    except TypeError:
        raise TypeError(
            f"`preferred_element_type` (={preferred_element_type!r}) must be a dtype"
        ) from None
    kinds = (jnp.integer, jnp.floating, jnp.complexfloating)
    source, target = (
        next((i for i, kind in enumerate(kinds) if jnp.issubdtype(d, kind)), -1)
        for d in (dtype, preferred)
    )
    if source < 0 or target < source or not _holds(preferred, dtype):
        raise TypeError(
            f"`preferred_element_type` (={preferred}) must hold every {dtype}; "
            "take a wider dtype of the same kind"
        )
    signed = jnp.issubdtype(dtype, jnp.signedinteger), jnp.issubdtype(preferred, jnp.signedinteger)
    packed = source == 0 and jnp.iinfo(dtype).bits < 8
    if source != target or signed[0] != signed[1] or packed:
        return preferred, None
    return dtype, preferred


def _holds(wide: jnp.dtype, narrow: jnp.dtype) -> bool:
    """Whether `wide` has every number of `narrow`; of integers in a float as large, near enough."""
    if jnp.issubdtype(wide, jnp.integer):
        outer, inner = jnp.iinfo(wide), jnp.iinfo(narrow)
        return outer.min <= inner.min and outer.max >= inner.max
    if jnp.issubdtype(narrow, jnp.integer):
        return wide.itemsize >= narrow.itemsize
    outer, inner = jnp.finfo(wide), jnp.finfo(narrow)
    return outer.nmant >= inner.nmant and outer.maxexp >= inner.maxexp


def comparable(inputs: Typed) -> jnp.dtype:
    """The dtype of `inputs` if a maximum of it makes sense.

    Raises:
      TypeError: complex numbers, which have no order, or booleans.
    """
    if inputs.dtype == jnp.bool_ or jnp.issubdtype(inputs.dtype, jnp.complexfloating):
        raise TypeError(
            "`inputs` must hold real numbers, which have a maximum, "
            f"got {inputs.dtype}; cast them with astype"
        )
    return inputs.dtype


def averageable(inputs: Typed) -> jnp.dtype:
    """The dtype of an average of `inputs`: that of `jnp.mean`.

    Raises:
      TypeError: booleans.
    """
    numeric("inputs", inputs)
    return jax.eval_shape(jnp.mean, jax.ShapeDtypeStruct((1,), inputs.dtype)).dtype


def numeric(argument: str, value: Typed) -> None:
    """Refuses booleans."""
    if value.dtype == jnp.bool_:
        raise TypeError(f"`{argument}` must hold numbers, got bool; cast them with astype")


def floating(argument: str, value: Typed) -> None:
    """Refuses what is not real and floating."""
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(f"`{argument}` must hold floats, got {value.dtype}; cast it with astype")
