"""`lax.conv_general_dilated` by the library's own algorithms, for code that takes it as a part."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Num

from jaxcnn import geometry
from jaxcnn._checks import options
from jaxcnn._planning import meshes
from jaxcnn._planning.plan import planned, to_run
from jaxcnn.functional import _lax_arguments
from jaxcnn.functional._lax_arguments import DimensionNumbers
from jaxcnn.lowering import choose, halo, unknown, xla_conv
from jaxcnn.lowering.conv_by_name import moved
from jaxcnn.lowering.conv_direct import channels_last
from jaxcnn.lowering.problem import ConvProblem, Precision


@planned("lhs", "rhs")
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
    from. On a CPU so do all other layouts, such as the channels-first one of Equinox, whose axes
    are transposed before and after; elsewhere they are handed to `lax` as they are. So are
    everywhere booleans, `batch_group_count`, `out_sharding` and arrays without a spatial axis.
    Refused is what `lax` would answer with an empty array for other reasons than an empty batch,
    integers of 8 bits or fewer that would wrap, and a preferred dtype that does not hold every
    number of the inputs'.

    Args:
      lhs: the inputs, one batch, one feature and d spatial axes, in the order that
        `dimension_numbers` gives. Where they have no pixel or no feature, the outputs are zeros.
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
    numbers = _lax_arguments.numbers_of_axes(lhs, rhs, dimension_numbers)
    if lhs.dtype != rhs.dtype:
        raise TypeError(
            f"`lhs` and `rhs` must have one dtype, got {lhs.dtype} and {rhs.dtype}; "
            "cast one of them with astype"
        )
    groups, batch_groups = _lax_arguments.group_counts(
        lhs, rhs, numbers, feature_group_count, batch_group_count
    )
    rank = lhs.ndim - 2
    windows = _lax_arguments.windows(
        lhs,
        rhs,
        numbers,
        geometry.per_axis("window_strides", window_strides, rank),
        padding,
        _lax_arguments.dilation_per_axis("lhs_dilation", lhs_dilation, rank),
        _lax_arguments.dilation_per_axis("rhs_dilation", rhs_dilation, rank),
    )
    dtype, preferred = _lax_arguments.product_dtypes(lhs, rhs, preferred_element_type)
    problem = ConvProblem(windows, groups, options.product_precision(precision), preferred)
    shared: dict[str, Any] = dict(problem=problem, numbers=numbers, dtype=dtype)
    if 0 in (lhs.shape[axis] for axis in numbers.lhs_spec[1:]):
        plan = _nothing
    elif rank == 0 or batch_groups > 1 or out_sharding is not None or dtype == jnp.bool_:
        plan = _by_lax
    else:
        return to_run(_accelerated, batch=None, **shared)
    return to_run(plan, batch=None, batch_groups=batch_groups, out_sharding=out_sharding, **shared)


def _accelerated(
    lhs: Array, rhs: Array, *, problem: ConvProblem, numbers: lax.ConvDimensionNumbers, dtype: Any
) -> Array:
    """As `conv`, with channels last."""
    last = channels_last(problem.windows.rank)
    operands = {
        "lhs": moved(lhs.astype(dtype), numbers.lhs_spec, last.lhs_spec),
        "rhs": moved(rhs.astype(dtype), numbers.rhs_spec, last.rhs_spec),
    }
    own = None if numbers == last else numbers
    outputs = meshes.on_devices(
        lambda lhs, rhs: choose.conv(lhs, rhs, problem, "auto", own), operands, 1, ["lhs"]
    )
    return moved(outputs, last.out_spec, numbers.out_spec)


def _by_lax(
    lhs: Array,
    rhs: Array,
    *,
    problem: ConvProblem,
    numbers: lax.ConvDimensionNumbers,
    dtype: Any,
    batch_groups: int = 1,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Array:
    """By XLA's own convolution, with the axes as they are."""
    windows = problem.windows

    def convolve(lhs: Array, rhs: Array) -> Array:
        return xla_conv.convolve(
            lhs.astype(dtype),
            rhs.astype(dtype),
            windows.strides,
            windows.padding,
            input_dilation=windows.input_dilation,
            kernel_dilation=windows.dilation,
            numbers=numbers,
            feature_group_count=problem.feature_group_count,
            batch_group_count=batch_groups,
            precision=problem.precision,
            preferred_element_type=problem.preferred_element_type,
            out_sharding=out_sharding,
        )

    operands = {"lhs": lhs, "rhs": rhs}
    outputs = halo.apart(convolve, (), operands) if out_sharding is None else convolve(**operands)
    return unknown.resized(outputs, unknown.with_a_window(windows), windows, numbers.out_spec[2:])


def _nothing(
    lhs: Array,
    rhs: Array,
    *,
    problem: ConvProblem,
    numbers: lax.ConvDimensionNumbers,
    dtype: Any,
    batch_groups: int,
    out_sharding: NamedSharding | PartitionSpec | None,
) -> Array:
    """Zeros, the sums over no channels or no pixels."""
    sizes = lhs.shape[numbers.lhs_spec[0]] // batch_groups, rhs.shape[numbers.rhs_spec[0]]
    shape = [0] * lhs.ndim
    for axis, size in zip(numbers.out_spec, (*sizes, *problem.windows.output_shape), strict=True):
        shape[axis] = size
    preferred = problem.preferred_element_type
    outputs = jnp.zeros(shape, dtype if preferred is None else preferred)
    return outputs if out_sharding is None else jax.sharding.reshard(outputs, out_sharding)
