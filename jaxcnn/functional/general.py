"""`lax.conv_general_dilated` by the library's own algorithms, for code that takes it as a part."""

from collections.abc import Sequence

from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Num

from jaxcnn import geometry
from jaxcnn.functional import _arguments, _dtypes
from jaxcnn.functional._program import program
from jaxcnn.lowering import choose, xla_conv
from jaxcnn.lowering.conv_direct import channels_last
from jaxcnn.lowering.problem import ConvProblem, Precision

DimensionNumbers = lax.ConvDimensionNumbers | tuple[str, str, str] | None

_FUNCTION = "conv_general_dilated"


@program("lhs", "rhs")
def conv_general_dilated(
    lhs: Num[Array, "..."],
    rhs: Num[Array, "..."],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: DimensionNumbers = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Num[Array, "..."]:
    """Computes what `jax.lax.conv_general_dilated` computes, under its signature.

    Channels-last problems, those of Flax and Haiku, go through the algorithms that `conv` chooses
    from. All others are handed to `lax`: other layouts, `batch_group_count`, `out_sharding`. What
    `lax` would answer with an empty array is refused, and so are 8-bit integers that would wrap.

    Args:
      lhs: the inputs, one batch, one feature and d spatial axes, in the order that
        `dimension_numbers` gives.
      rhs: the kernel, likewise, with feature axes of the outputs and the inputs.
      window_strides: pixels between windows, one per spatial axis in the kernel's order.
      padding: "SAME", "SAME_LOWER", "VALID", or a (low, high) pair per spatial axis; strings are
        worked out on the dilated inputs.
      lhs_dilation: pixels between neighbouring input pixels; None for 1.
      rhs_dilation: pixels between neighbouring taps; None for 1.
      dimension_numbers: `jax.lax.ConvDimensionNumbers`, three strings such as
        ("NHWC", "HWIO", "NHWC"), or None for ("NCHW", "OIHW", "NCHW").
      feature_group_count: groups of channels that see one another alone.
      batch_group_count: groups of the batch, each with features of its own.
      precision: of the products, as `jax.lax.Precision`.
      preferred_element_type: dtype to accumulate in and return; 8-bit integers need one.
      out_sharding: how the outputs are spread over devices, in explicit sharding.
    Returns:
      The outputs, their axes as `dimension_numbers` orders them, spatial sizes
      floor((n + p_lo + p_hi - d*(k - 1) - 1) / s) + 1.
    Raises:
      ValueError: shapes or options disagree, or the output would be empty.
      TypeError: an argument is of the wrong type, or the dtypes differ.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import functional as F
      >>> layer = nnx.Conv(
      ...     3, 16, (3, 3), conv_general_dilated=F.conv_general_dilated, rngs=nnx.Rngs(0)
      ... )
      >>> layer(jnp.ones((8, 32, 32, 3))).shape
      (8, 32, 32, 16)
    """
    lhs, rhs = _arguments.array(_FUNCTION, "lhs", lhs), _arguments.array(_FUNCTION, "rhs", rhs)
    numbers = _dimension_numbers(lhs, rhs, dimension_numbers)
    if lhs.dtype != rhs.dtype:
        raise TypeError(
            f"{_FUNCTION}: `lhs` and `rhs` must have one dtype, got {lhs.dtype} and {rhs.dtype}; "
            "cast one of them with astype"
        )
    if lhs.dtype == bool:
        raise TypeError(f"{_FUNCTION}: `lhs` and `rhs` must hold numbers, got bool; cast them")
    groups, batch_groups = _groups(lhs, rhs, numbers, feature_group_count, batch_group_count)
    sizes = [lhs.shape[axis] for axis in numbers.lhs_spec[2:]]
    if 0 in sizes:
        raise ValueError(
            f"{_FUNCTION}: `lhs` must have no empty spatial axis; received lhs {lhs.shape}, "
            f"dimension numbers {tuple(numbers)} (only its batch may be empty)"
        )
    rank = len(sizes)
    window_strides = geometry.per_axis(_FUNCTION, "window_strides", window_strides, rank)
    lhs_dilation = _dilation("lhs_dilation", lhs_dilation, rank)
    rhs_dilation = _dilation("rhs_dilation", rhs_dilation, rank)
    if rank:
        windows = geometry.windows(
            _FUNCTION,
            sizes,
            [rhs.shape[axis] for axis in numbers.rhs_spec[2:]],
            strides=window_strides,
            padding=padding,
            dilation=rhs_dilation,
            input_dilation=lhs_dilation,
            crop=True,
            window_argument="rhs",
            dilation_argument="rhs_dilation",
        )
    else:
        windows = geometry.Windows((), (), (), (), (), (), ())
    lhs, rhs, preferred = _dtypes.product_dtypes(_FUNCTION, lhs, rhs, preferred_element_type)
    precision = _dtypes.product_precision(_FUNCTION, precision)
    canonical = rank > 0 and numbers == channels_last(rank)
    if canonical and batch_groups == 1 and out_sharding is None:
        problem = ConvProblem(windows, groups, precision, preferred)
        return choose.conv(_FUNCTION, lhs, rhs, problem, "auto")
    return xla_conv.convolve(
        lhs,
        rhs,
        window_strides,
        windows.padding,
        input_dilation=lhs_dilation,
        kernel_dilation=rhs_dilation,
        numbers=numbers,
        feature_group_count=groups,
        batch_group_count=batch_groups,
        precision=precision,
        preferred_element_type=preferred,
        out_sharding=out_sharding,
    )


def _dilation(argument: str, value: Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Returns one int per spatial axis, 1 for None."""
    return geometry.per_axis(_FUNCTION, argument, 1 if value is None else value, rank)


def _dimension_numbers(
    lhs: Array, rhs: Array, dimension_numbers: DimensionNumbers
) -> lax.ConvDimensionNumbers:
    """Returns the dimension numbers as tuples of ints, each a permutation of the axes.

    Raises:
      ValueError: the numbers of axes differ, or a specification is no permutation of them.
      TypeError: no dimension numbers at all.
    """
    received = f"received lhs {lhs.shape}, rhs {rhs.shape}"
    if lhs.ndim != rhs.ndim or lhs.ndim < 2:
        raise ValueError(
            f"{_FUNCTION}: `lhs` and `rhs` must have as many axes, one of batch, one of features "
            f"and all spatial ones; {received}"
        )
    label = f"{_FUNCTION}: `dimension_numbers` (={dimension_numbers!r})"
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


def _groups(
    lhs: Array,
    rhs: Array,
    numbers: lax.ConvDimensionNumbers,
    feature_group_count: int,
    batch_group_count: int,
) -> tuple[int, int]:
    """Returns both group counts if they divide what they group and the channels agree."""
    received = f"received lhs {lhs.shape}, rhs {rhs.shape}, dimension numbers {tuple(numbers)}"
    groups = geometry.whole_number(_FUNCTION, "feature_group_count", feature_group_count, 1)
    batch_groups = geometry.whole_number(_FUNCTION, "batch_group_count", batch_group_count, 1)
    batch, channels = (lhs.shape[axis] for axis in numbers.lhs_spec[:2])
    features, per_group = (rhs.shape[axis] for axis in numbers.rhs_spec[:2])
    if groups > 1 and batch_groups > 1:
        raise ValueError(
            f"{_FUNCTION}: `batch_group_count` (={batch_groups}) must be 1 beside "
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
                f"{_FUNCTION}: `{argument}` (={count}) must divide the {name} (={size}); {received}"
            )
    if per_group * groups != channels or 0 in rhs.shape:
        raise ValueError(
            f"{_FUNCTION}: `rhs` must have no empty axis and lhs features / feature_group_count = "
            f"{channels // groups} input features, got {per_group}; {received}"
        )
    return groups, batch_groups
