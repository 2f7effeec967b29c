"""Checks that the constructors of modules share, and the one on their inputs."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn import dtypes as flax_dtypes
from jax.typing import DTypeLike
from jaxtyping import Array

from jaxcnn import geometry
from jaxcnn.functional import _arguments
from jaxcnn.geometry import Padding

FILLS = ("CIRCULAR", "REFLECT")

# What Flax's layers draw their parameters with.
KERNEL_INIT = nnx.initializers.lecun_normal()
BIAS_INIT = nnx.initializers.zeros_init()


def features(module: str, argument: str, value: object) -> int:
    """Returns a number of features, at least one."""
    return geometry.whole_number(module, argument, value, 1)


def kernel_size(module: str, value: object, argument: str = "kernel_size") -> tuple[int, ...]:
    """Returns the kernel's spatial sizes; an int is refused, since it leaves the rank open."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise TypeError(
            f"{module}: `{argument}` (={value}) must be a tuple with one int per spatial axis; "
            f"write ({value},) for signals, ({value}, {value}) for images"
        )
    return geometry.axes_tuple(module, argument, value)


def per_axis(module: str, argument: str, value: Any, rank: int) -> int | tuple[int, ...] | None:
    """Checks an option given per axis and keeps its form: None (one), an int, or a tuple."""
    if value is None:
        return None
    entries = geometry.per_axis(module, argument, value, rank)
    return entries[0] if isinstance(value, int) else entries


def each_axis(value: Any, rank: int) -> tuple[int, ...]:
    """One int per axis from what `per_axis` kept."""
    if value is None:
        return (1,) * rank
    return (value,) * rank if isinstance(value, int) else tuple(value)


def padding(
    module: str,
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
                f"{module}: `padding` (={value!r}) is no padding of this module; "
                "give amounts and a `padding_mode` instead"
            )
        geometry.resolve_padding(module, value, size, size, ones, dilation)
        return name
    if isinstance(value, int) and not isinstance(value, bool) and (crop or value >= 0):
        return value
    return geometry.resolve_padding(module, value, (1,) * rank, size, ones, dilation, crop=crop)


def groups(module: str, value: object, **counts: int) -> int:
    """Returns the number of groups if it divides every count of features given by name."""
    number = geometry.whole_number(module, "feature_group_count", value, 1)
    for name, count in counts.items():
        if count % number:
            raise ValueError(
                f"{module}: `feature_group_count` (={number}) must divide `{name}` (={count})"
            )
    return number


def dtype(module: str, argument: str, value: DTypeLike | None) -> None:
    """Refuses what is no dtype of floating or complex numbers."""
    try:
        if value is None:
            raise TypeError
        inexact = jnp.issubdtype(jnp.dtype(value), jnp.inexact)
    except TypeError:
        raise TypeError(
            f"{module}: `{argument}` (={value!r}) must be a dtype, such as jnp.float32"
        ) from None
    if not inexact:
        raise ValueError(
            f"{module}: `{argument}` (={jnp.dtype(value)}) must be a floating or complex dtype"
        )


def dtypes(module: str, dtype_: DTypeLike | None, param_dtype: DTypeLike) -> None:
    """Checks the two dtypes that every module with parameters has; None infers the first."""
    if dtype_ is not None:
        dtype(module, "dtype", dtype_)
    dtype(module, "param_dtype", param_dtype)


def layer_dtypes(
    module: str,
    dtype_: DTypeLike | None,
    param_dtype: DTypeLike,
    promote_dtype: Any,
    preferred_element_type: DTypeLike | None,
) -> None:
    """Checks the dtypes of a layer that may promote its own way, and then know integers."""
    if promote_dtype is flax_dtypes.promote_dtype:
        dtypes(module, dtype_, param_dtype)
        if preferred_element_type is not None:
            dtype(module, "preferred_element_type", preferred_element_type)


def mask(module: str, value: Any, kernel_shape: tuple[int, ...]) -> None:
    """Refuses a mask of another shape than the kernel's."""
    if value is None:
        return
    shape = _arguments.array(module, "mask", value).shape
    if shape != kernel_shape:
        raise ValueError(
            f"{module}: `mask` must have the kernel's shape {kernel_shape}; received mask {shape}"
        )


def rngs(module: str, value: Any, stream: str = "params") -> None:
    """Refuses what has no stream of keys of that name."""
    if not isinstance(value, nnx.Rngs):
        raise TypeError(
            f"{module}: `rngs` must be flax.nnx.Rngs, got {type(value).__name__}; "
            "write rngs=nnx.Rngs(0)"
        )
    if not hasattr(value, stream):  # the default stream answers to every name
        raise ValueError(
            f"{module}: `rngs` must have a stream {stream!r}; write nnx.Rngs({stream}=0)"
        )


def function(module: str, argument: str, value: Any) -> Callable[..., Any]:
    """Returns `value` if it can be called."""
    if not callable(value):
        raise TypeError(
            f"{module}: `{argument}` (={value!r}) must be a function, got {type(value).__name__}"
        )
    return value


def inputs(module: str, value: Any, rank: int, in_features: int) -> Array:
    """Returns the inputs as an array if their axes and channels are those of the module."""
    array = _arguments.array(module, "inputs", value)
    if array.ndim < rank + 1 or array.shape[-1] != in_features:
        raise ValueError(
            f"{module}: `inputs` must be (*batch, *spatial, channels) with {rank} spatial axes and "
            f"in_features = {in_features} channels; received inputs {array.shape}"
        )
    return array
