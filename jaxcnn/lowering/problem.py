"""What a lowering is asked to compute, apart from the arrays."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array

from jaxcnn.geometry import Windows

Precision = (
    None
    | str
    | lax.Precision
    | tuple[str, str]
    | tuple[lax.Precision, lax.Precision]
    | lax.DotAlgorithmPreset
)


@runtime_checkable
class Typed(Protocol):
    """What has a shape and a dtype: an array, or what only stands for one."""

    @property
    def shape(self) -> tuple[Any, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...
    @property
    def ndim(self) -> int: ...


@dataclasses.dataclass(frozen=True, slots=True)
class ConvProblem:
    """A convolution's static half; hashable, so that it may be static under jit.

    Attributes:
      windows: where the kernel lies; its padding is filled with zeros, or crops.
      feature_group_count: groups of channels that see one another alone.
      precision: as `lax.conv_general_dilated` takes it.
      preferred_element_type: dtype to accumulate in and return, None for the inputs' own.
    """

    windows: Windows
    feature_group_count: int = 1
    precision: Precision = None
    preferred_element_type: DTypeLike | None = None


# how an algorithm that splits a convolution has its parts computed
Inner = Callable[[Array, Array, ConvProblem], Array]
