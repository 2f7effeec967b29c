"""Sizes that are not known yet: the expressions by which `jax.export` stands for them.

An expression such as h + 2 adds, multiplies and floor-divides as an int does. A comparison whose
answer depends on the size raises. Here such a question is taken as answered in the user's favour,
as `lax` takes it.
"""

import numbers
from typing import Any

Size = int | Any  # an int, or such an expression, of whose class, JAX's, nothing here knows


def is_expression(value: object) -> bool:
    """Whether `value` stands for a size that is not known yet."""
    return (
        not hasattr(value, "__index__")
        and hasattr(value, "__floordiv__")
        and not isinstance(value, numbers.Number)
    )


def are_known(*sizes: Size) -> bool:
    """Whether all sizes are ints."""
    return not any(map(is_expression, sizes))


def surely_below(size: Size, bound: Size) -> bool:
    """Whether size < bound whatever the unknown sizes are; False where it depends on them."""
    try:
        return bool(size < bound)
    except Exception:  # JAX's own, which has no public name
        if are_known(size, bound):
            raise
        return False


def larger(one: Any, other: Any) -> Size:
    """The larger size, or the expression for it."""
    if are_known(one, other):
        return max(one, other)
    return one.max(other) if is_expression(one) else other.max(one)


def smaller(one: Any, other: Any) -> Size:
    """The smaller size, or the expression for it."""
    if are_known(one, other):
        return min(one, other)
    return one.min(other) if is_expression(one) else other.min(one)
