"""Ints given for one axis or for all, checked and worked out."""

import numbers
import operator
from collections.abc import Callable, Sequence
from typing import Any

from jaxcnn.geometry.unknown import Size, is_expression, surely_below

IntPerAxis = int | Sequence[int]
LARGEST = 2**31  # from here on an axis cannot be indexed by 32 bits


def whole_number(argument: str, value: object, minimum: int | None = None) -> int:
    """Returns `value` as an int.

    Raises:
      TypeError: `value` is no number known before tracing (a bool is none).
      ValueError: `value` is not whole, below `minimum`, or too large for an index.
    """
    label = f"`{argument}` (={value!r})"
    if is_expression(value):
        raise TypeError(f"{label} must be an int known before tracing, got a symbolic size")
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        if isinstance(value, numbers.Real) and not isinstance(value, bool):
            raise ValueError(f"{label} must be a whole number; write an int")
        raise TypeError(f"{label} must be an int, got {type(value).__name__}")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except Exception:
        raise TypeError(
            f"{label} must be an int known before tracing, got {type(value).__name__}; "
            "mark it static under jit"
        ) from None
    if minimum is not None and number < minimum:
        raise ValueError(f"{label} must be at least {minimum}")
    if abs(number) >= LARGEST:
        raise ValueError(f"{label} must be below 2**31, as sizes of arrays are")
    return number


def whole_size(argument: str, value: object, minimum: int) -> Size:
    """Returns `value` as an int, or as it is where it stands for a size that is not known yet.

    Raises:
      TypeError: as `whole_number`.
      ValueError: as `whole_number`.
    """
    if not is_expression(value):
        return whole_number(argument, value, minimum)
    if surely_below(value, minimum):
        raise ValueError(f"`{argument}` (={value!r}) must be at least {minimum}")
    return value


def per_axis(
    argument: str,
    value: object,
    rank: int,
    *,
    minimum: int | None = 1,
    entry: Callable[..., Any] = whole_number,
) -> tuple[Any, ...]:
    """Returns one int per spatial axis from an int (meant for all axes) or a sequence of ints.

    Each is checked by `entry`: `whole_number`, or `whole_size` where symbolic sizes are taken.
    """
    if is_sequence(value):
        entries = tuple(value)  # type: ignore[arg-type]
        if len(entries) != rank:
            raise ValueError(
                f"`{argument}` (={value!r}) must be one int for all axes or one for "
                f"each of the {rank} spatial axes, got {len(entries)}"
            )
        return tuple(entry(argument, each, minimum) for each in entries)
    return (entry(argument, value, minimum),) * rank


def axes_tuple(
    argument: str,
    value: object,
    *,
    minimum: int = 1,
    allow_none: bool = False,
    entry: Callable[..., Any] = whole_number,
) -> tuple[Any, ...]:
    """Returns one int per spatial axis where the argument itself sets the number of axes.

    An int would leave that number open and is refused, and so is an empty sequence. With
    `allow_none` an entry None is kept as -1, which the caller replaces by that axis's size. Each
    is checked by `entry`, as in `per_axis`.
    """
    if not is_sequence(value):
        hint = f"; for two axes write ({value}, {value})" if isinstance(value, int) else ""
        raise TypeError(
            f"`{argument}` (={value!r}) must be a tuple with one int per spatial axis{hint}"
        )
    entries = tuple(value)  # type: ignore[arg-type]
    if not entries:
        raise ValueError(f"`{argument}` (={value!r}) must name at least one spatial axis")
    return tuple(
        -1 if each is None and allow_none else entry(argument, each, minimum) for each in entries
    )


def is_sequence(value: object) -> bool:
    """Whether `value` lists entries axis by axis: a tuple, a list, a NumPy vector."""
    if isinstance(value, (str, bytes)):
        return False
    return isinstance(value, Sequence) or (
        hasattr(value, "tolist") and getattr(value, "ndim", 0) > 0
    )
