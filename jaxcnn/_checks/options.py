"""Checks of options that are neither sizes nor arrays."""

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax import lax

from jaxcnn.lowering.problem import Precision


def choice(argument: str, value: object, allowed: Sequence[str]) -> str:
    """Returns `value` if it is one of the `allowed` names."""
    if not isinstance(value, str):
        raise TypeError(f"`{argument}` (={value!r}) must be a string, one of {', '.join(allowed)}")
    if value not in allowed:
        raise ValueError(f"`{argument}` (={value!r}) must be one of {', '.join(allowed)}")
    return value


def flag(argument: str, value: object) -> bool:
    """Returns `value` if it is a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(
            f"`{argument}` (={value!r}) must be True or False, got {type(value).__name__}"
        )
    return bool(value)


def product_precision(precision: Precision) -> Precision:
    """The precision as `lax.Precision`, if it is one that `lax` takes, or a pair of them.

    Raises:
      ValueError: no such precision.
      TypeError: not a precision at all.
    """
    entries = precision if isinstance(precision, tuple) else (precision, precision)
    if len(entries) != 2:
        raise ValueError(f"`precision` (={precision!r}) must be one precision or a pair of them")
    for entry in entries:
        if entry is None or isinstance(entry, (lax.Precision, lax.DotAlgorithmPreset)):
            continue
        if not isinstance(entry, str):
            raise TypeError(
                f"`precision` (={precision!r}) must be None, a string, "
                "jax.lax.Precision, or a pair of them"
            )
        try:
            lax.Precision(entry)
        except ValueError:
            raise ValueError(
                f"`precision` (={precision!r}) must be one that jax.lax.Precision "
                "knows, such as 'default', 'high' or 'highest'"
            ) from None
    if isinstance(precision, tuple):
        return tuple(map(_known_precision, precision))  # pyright: ignore[reportReturnType]
    return _known_precision(precision)


def _known_precision(entry: Any) -> Any:
    return lax.Precision(entry) if isinstance(entry, str) else entry


def norm_order(value: object) -> float:
    """Returns p as a float if it is a number above 0."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"`norm_order` (={value!r}) must be a number known before tracing, "
            f"got {type(value).__name__}"
        )
    try:
        p = float(value)
    except OverflowError:
        p = math.nan
    if not p > 0:
        raise ValueError(
            f"`norm_order` (={value!r}) must be above 0 and within the range of floats;"
            " math.inf takes the maximum"
        )
    return p
