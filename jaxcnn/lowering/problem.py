"""What a lowering is asked to compute, apart from the arrays."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
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

    def __eq__(self, other: object) -> bool:
        """Whether all is equal, where NumPy's float64 would equal None too."""
        return isinstance(other, ConvProblem) and self._fields() == other._fields()

    def _fields(self) -> tuple[Any, ...]:
        preferred = self.preferred_element_type
        told = None if preferred is None else str(preferred)
        return self.windows, self.feature_group_count, self.precision, told

    def rows(self) -> list[tuple[str, str]]:
        """What is to be said of it, in a few words each."""
        found = [("convolution", str(self.windows))]
        if self.feature_group_count > 1:
            found.append(("groups", str(self.feature_group_count)))
        if self.precision is not None:
            found.append(("precision", str(self.precision)))
        if self.preferred_element_type is not None:
            found.append(("summed in", str(self.preferred_element_type)))
        return found


def sizes_unknown(windows: Windows) -> str | None:
    """Why an algorithm that needs the spatial sizes can't take such windows; None if it can."""
    if windows.known:
        return None
    return f"needs spatial sizes that are known when traced, not {windows.sizes}"


def other_dtypes(inputs: Typed, problem: ConvProblem) -> str | None:
    """Why an algorithm for floats that returns their dtype can't take these; None if it can."""
    preferred = problem.preferred_element_type
    same = preferred is None or preferred == inputs.dtype  # NumPy's float64 == None, too
    if jnp.issubdtype(inputs.dtype, jnp.inexact) and same:
        return None
    return f"takes floats and returns their dtype, not {inputs.dtype} to {preferred}"


def one_a_window(inputs: Typed, windows: Windows, dtype: Any = None) -> jax.ShapeDtypeStruct:
    """The type of an array with an element for each window, of the inputs' dtype or another."""
    shape = (inputs.shape[0], *windows.output_shape, inputs.shape[-1])
    return jax.ShapeDtypeStruct(shape, inputs.dtype if dtype is None else dtype)


# how an algorithm that splits a convolution has its parts computed
Inner = Callable[[Array, Array, ConvProblem], Array]
