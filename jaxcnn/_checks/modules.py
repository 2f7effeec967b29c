"""Checks that the constructors of modules share, and the one on their inputs."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn import dtypes as flax_dtypes
from jax.typing import DTypeLike
from jaxtyping import Array

from jaxcnn import geometry
from jaxcnn._checks.arrays import array as array
from jaxcnn._checks.options import choice as choice
from jaxcnn._checks.options import flag as flag
from jaxcnn._checks.options import norm_order as norm_order
from jaxcnn._checks.options import product_precision
from jaxcnn.geometry import Padding
from jaxcnn.lowering.problem import Precision

FILLS = ("CIRCULAR", "REFLECT")


def features(argument: str, value: object) -> int:
    """Returns a number of features, at least one."""
    return geometry.whole_number(argument, value, 1)


def kernel_size(value: object, argument: str = "kernel_size") -> tuple[int, ...]:
    """Returns the kernel's spatial sizes; an int is refused, since it leaves the rank open."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise TypeError(
            f"`{argument}` (={value}) must be a tuple with one int per spatial axis; "
            f"write ({value},) for signals, ({value}, {value}) for images"
        )
    return geometry.axes_tuple(argument, value)


def per_axis(argument: str, value: Any, rank: int) -> int | tuple[int, ...] | None:
    """Checks an option given per axis and keeps its form: None (one), an int, or a tuple."""
    if value is None:
        return None
    entries = geometry.per_axis(argument, value, rank)
    return entries[0] if isinstance(value, int) else entries


def each_axis(value: Any, rank: int) -> tuple[int, ...]:
    """One int per axis from what `per_axis` kept."""
    if value is None:
        return (1,) * rank
    return (value,) * rank if isinstance(value, int) else tuple(value)


def padding(
    value: Any,
    size: tuple[int, ...],
    dilation: tuple[int, ...],
    *,
    fills: tuple[str, ...] = FILLS,
    crop: bool = True,
) -> Padding:
    """Checks `padding` as far as it can be without the inputs: capital names, pairs as tuples."""
    rank, ones = len(size), (1,) * len(size)
    if isinstance(value, str):
        name = value.upper()
        if name in fills:
            return name
        if name in FILLS:
            raise ValueError(
                f"`padding` (={value!r}) is no padding of this module; "
                "give amounts and a `padding_mode` instead"
            )
        geometry.resolve_padding(value, size, size, ones, dilation)
        return name
    if isinstance(value, int) and not isinstance(value, bool) and (crop or value >= 0):
        return value
    return geometry.resolve_padding(value, (1,) * rank, size, ones, dilation, crop=crop)


def groups(value: object, **counts: int) -> int:
    """Returns the number of groups if it divides every count of features given by name."""
    number = geometry.whole_number("feature_group_count", value, 1)
    for name, count in counts.items():
        if count % number:
            raise ValueError(f"`feature_group_count` (={number}) must divide `{name}` (={count})")
    return number


def dtype(argument: str, value: DTypeLike | None) -> None:
    """Refuses what is no dtype of floating or complex numbers."""
    try:
        if value is None:
            raise TypeError
        inexact = jnp.issubdtype(jnp.dtype(value), jnp.inexact)
    except TypeError:
        raise TypeError(f"`{argument}` (={value!r}) must be a dtype, such as jnp.float32") from None
    if not inexact:
        raise ValueError(f"`{argument}` (={jnp.dtype(value)}) must be a floating or complex dtype")


def dtypes(dtype_: DTypeLike | None, param_dtype: DTypeLike) -> None:
    """Checks the two dtypes that every module with parameters has; None infers the first."""
    if dtype_ is not None:
        dtype("dtype", dtype_)
    dtype("param_dtype", param_dtype)


def layer_dtypes(
    dtype_: DTypeLike | None,
    param_dtype: DTypeLike,
    promote_dtype: Any,
    preferred_element_type: DTypeLike | None,
) -> None:
    """Checks the dtypes of a layer that may promote its own way, and then know integers."""
    if promote_dtype is flax_dtypes.promote_dtype:
        dtypes(dtype_, param_dtype)
        if preferred_element_type is not None:
            dtype("preferred_element_type", preferred_element_type)


def precision(value: Precision) -> Precision:
    """Returns `value`, as it is, if it is a precision."""
    product_precision(value)
    return value


def mask(value: Any, kernel_shape: tuple[int, ...]) -> None:
    """Refuses a mask of another shape than the kernel's."""
    if value is None:
        return
    shape = array("mask", value).shape
    if shape != kernel_shape:
        raise ValueError(
            f"`mask` must have the kernel's shape {kernel_shape}; received mask {shape}"
        )


def rngs(value: Any, stream: str = "params") -> None:
    """Refuses what has no stream of keys of that name."""
    if not isinstance(value, nnx.Rngs):
        raise TypeError(
            f"`rngs` must be flax.nnx.Rngs, got {type(value).__name__}; write rngs=nnx.Rngs(0)"
        )
    if not hasattr(value, stream):  # the default stream answers to every name
        raise ValueError(f"`rngs` must have a stream {stream!r}; write nnx.Rngs({stream}=0)")


def function(argument: str, value: Any) -> Callable[..., Any]:
    """Returns `value` if it can be called."""
    if not callable(value):
        raise TypeError(f"`{argument}` (={value!r}) must be a function, got {type(value).__name__}")
    return value


def inputs(value: Any, rank: int, in_features: int) -> Array:
    """Returns the inputs as an array if their axes and channels are those of the module."""
    given = array("inputs", value)
    if given.ndim < rank + 1 or given.shape[-1] != in_features:
        raise ValueError(
            f"`inputs` must be (*batch, *spatial, channels) with {rank} spatial axes and "
            f"in_features = {in_features} channels; received inputs {given.shape}"
        )
    return given
