"""Checks on the arguments of `conv_general_dilated`, which are those of `lax`."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from jaxcnn import geometry
from jaxcnn._checks import dtypes
from jaxcnn._planning.plan import like
from jaxcnn.lowering.problem import Typed

DimensionNumbers = lax.ConvDimensionNumbers | tuple[str, str, str] | None


def numbers_of_axes(
    lhs: Typed, rhs: Typed, dimension_numbers: DimensionNumbers
) -> lax.ConvDimensionNumbers:
    """Returns the dimension numbers as tuples of ints, each a permutation of the axes.

    Raises:
      ValueError: the numbers of axes differ, or a specification is no permutation of them.
      TypeError: no dimension numbers at all.
    """
    received = f"received lhs {lhs.shape}, rhs {rhs.shape}"
    if lhs.ndim != rhs.ndim or lhs.ndim < 2:
        raise ValueError(
            f"`lhs` and `rhs` must have as many axes, one of batch, one of features "
            f"and all spatial ones; {received}"
        )
    label = f"`dimension_numbers` (={dimension_numbers!r})"
    if not (dimension_numbers is None or isinstance(dimension_numbers, (tuple, list))):
        raise TypeError(f"{label} must be None, three strings or jax.lax.ConvDimensionNumbers")
    try:
        numbers = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
        specs = [tuple(int(axis) for axis in spec) for spec in numbers]
    except (TypeError, ValueError):
        specs = []
    if not specs or any(sorted(spec) != list(range(lhs.ndim)) for spec in specs):
        raise ValueError(
            f"{label} must name each of the {lhs.ndim} axes once in all three specifications, as "
            f"('NHWC', 'HWIO', 'NHWC') does for 4; {received}"
        )
    return lax.ConvDimensionNumbers(*specs)


def group_counts(
    lhs: Typed,
    rhs: Typed,
    numbers: lax.ConvDimensionNumbers,
    feature_group_count: int,
    batch_group_count: int,
) -> tuple[int, int]:
    """Returns both group counts if they divide what they group and the channels agree."""
    received = f"received lhs {lhs.shape}, rhs {rhs.shape}, dimension numbers {tuple(numbers)}"
    groups = geometry.whole_number("feature_group_count", feature_group_count, 1)
    batch_groups = geometry.whole_number("batch_group_count", batch_group_count, 1)
    batch, channels = (lhs.shape[axis] for axis in numbers.lhs_spec[:2])
    features, per_group = (rhs.shape[axis] for axis in numbers.rhs_spec[:2])
    if groups > 1 and batch_groups > 1:
        raise ValueError(
            f"`batch_group_count` (={batch_groups}) must be 1 beside "
            f"`feature_group_count` (={groups})"
        )
    for argument, count, name, size in (
        ("feature_group_count", groups, "lhs features", channels),
        ("feature_group_count", groups, "rhs output features", features),
        ("batch_group_count", batch_groups, "lhs batch", batch),
        ("batch_group_count", batch_groups, "rhs output features", features),
    ):
        if size % count:
            raise ValueError(
                f"`{argument}` (={count}) must divide the {name} (={size}); {received}"
            )
    taps = tuple(rhs.shape[axis] for axis in numbers.rhs_spec[2:])
    if per_group * groups != channels or features == 0 or 0 in taps:
        raise ValueError(
            f"`rhs` must have no empty axis of taps or outputs and lhs features / "
            f"feature_group_count = {channels // groups} input features, got {per_group}; "
            f"{received}"
        )
    return groups, batch_groups


def dilation_per_axis(argument: str, value: Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Returns one int per spatial axis, 1 for None."""
    return geometry.per_axis(argument, 1 if value is None else value, rank)


def windows(
    lhs: Typed,
    rhs: Typed,
    numbers: lax.ConvDimensionNumbers,
    strides: tuple[int, ...],
    padding: object,
    input_dilation: tuple[int, ...],
    dilation: tuple[int, ...],
) -> geometry.Windows:
    """Where the windows lie; those over an empty axis, which `geometry.windows` refuses, too.

    Raises:
      ValueError: an option is out of range, or there is no window.
    """
    if lhs.ndim == 2:
        return geometry.Windows((), (), (), (), (), (), ())
    sizes = tuple(lhs.shape[axis] for axis in numbers.lhs_spec[2:])
    taps = tuple(rhs.shape[axis] for axis in numbers.rhs_spec[2:])
    if 0 not in sizes:
        return geometry.windows(
            sizes,
            taps,
            strides=strides,
            padding=padding,
            dilation=dilation,
            input_dilation=input_dilation,
            crop=True,
            window_argument="rhs",
            dilation_argument="rhs_dilation",
        )
    dilated = tuple(map(geometry.dilated_size, sizes, input_dilation))
    pairs = geometry.resolve_padding(padding, dilated, taps, strides, dilation, crop=True)
    counts = tuple(
        geometry.output_size(n, k, stride=s, padding=pair, dilation=d)
        for n, k, s, pair, d in zip(dilated, taps, strides, pairs, dilation, strict=True)
    )
    if min(counts) < 1:
        raise ValueError(
            f"`lhs` must have no empty spatial axis that `padding` (={padding!r}) "
            f"leaves without a window; received lhs {lhs.shape}, rhs {rhs.shape}, dimension "
            f"numbers {tuple(numbers)}; pad more"
        )
    return geometry.Windows(sizes, taps, strides, pairs, dilation, input_dilation, counts)


def product_dtypes(
    lhs: Typed, rhs: Typed, preferred_element_type: DTypeLike | None
) -> tuple[jnp.dtype, jnp.dtype | None]:
    """Checks dtypes as `conv` does, and takes booleans, of which `lax` makes "and" and "or".

    With a preferred dtype of numbers it counts them, as numbers of that dtype.
    """
    if lhs.dtype == jnp.bool_:
        try:
            preferred = jnp.dtype(
                bool if preferred_element_type is None else preferred_element_type
            )
        except TypeError:
            preferred = jnp.dtype(jnp.int32)  # which is refused below for what it was given as
        if preferred == jnp.bool_:
            return preferred, None
        lhs, rhs = like(lhs, dtype=preferred), like(rhs, dtype=preferred)
    return dtypes.product_dtypes(lhs, rhs, preferred_element_type)
