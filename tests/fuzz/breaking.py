"""One argument of a valid call made wrong: what the contract refuses whatever the others are."""

import math
from typing import Any

from tests.fuzz.calls import Call, Traced, Values
from tests.fuzz.choices import Choices
from tests.fuzz.primitives import Plan

nan = math.nan
NO_NAME = ("zero", "", None, 3, ["zeros"], "Zeros")
NO_FLAG = (1, 0, "yes", None, 1.0)
NO_COUNT = (0, -1, 1.5, 2.0, "2", None, (1,), [2], nan, 2**31, True, Traced(1), 1j)
OF_COPIES = ("unfold", "dilate", "space_to_depth", "depth_to_space", "sum_pool", "pool")
ORDERED = ("max_pool", "min_pool", "max_pool_with_indices", "lp_pool", "logsumexp_pool",
           "grey_dilation", "grey_erosion", "stochastic_pool", "adaptive_max_pool",
           "adaptive_max_pool_with_indices", "global_max_pool", "fractional_max_pool",
           "fractional_max_pool_with_indices")  # fmt: skip
OPTIONAL = ("bias", "mask", "key")  # None leaves them out, except `partial_conv`'s mask


def broken(c: Choices, plan: Plan, call: Call) -> tuple[str, Call]:
    """Returns the argument that is wrong now, and the call."""
    name = c.one_of(*call.arguments)
    value = call.arguments[name]
    if isinstance(value, Values):
        options = wrong_arrays(call, name, value)
    else:
        options = wrong_options(plan, call, name)
    return name, call.changed(**{name: c.one_of(*options)})


def wrong_options(plan: Plan, call: Call, name: str) -> tuple[Any, ...]:
    """Values that no call takes for this option."""
    rank = plan["rank"]
    per_axis = (0, -1, 2.5, 2.0, "2", True, nan, 2**31, (), (1,) * (rank + 1), (1.5,) * rank,
                (None,) * rank, {}, ("1",) * rank, Traced(1), (0,) * rank,
                ((1,),) * rank)  # fmt: skip
    shape = (2, None, (), (0,) * rank, (-1,) * rank, (2.5,) * rank, "22", (True,) * rank, {},
             ((1,),) * rank, (nan,) * rank, (2**31,) * rank, Traced(1), 1.0)  # fmt: skip
    pads = (None, 2.5, "BOTH", "", True, (1,) * (rank + 1), ((1, 2, 3),) * rank, (), {}, nan,
            ((0, nan),) * rank, (("1", "1"),) * rank, 2**31, Traced(1), ((),) * rank,
            ((1, None),) * rank, "CAUSAL" if rank > 1 else "CAUSE")  # fmt: skip
    if name == "padding":
        crops = call.primitive.endswith(("conv", "conv_local", "conv_transpose", "dilated"))
        return pads[1 if call.primitive == "blur_pool" else 0 :] + (() if crops else (-1,))
    if name == "strides":
        return per_axis if call.arguments[name] is not None else per_axis[1:]
    if name in ("window_strides", "kernel_dilation", "window_dilation", "input_dilation",
                "lhs_dilation", "rhs_dilation", "scale", "resized_shape"):  # fmt: skip
        return per_axis
    if name == "output_padding":
        return (*per_axis[1:-2], 99)
    if name == "output_shape" and call.primitive == "conv_transpose":
        return (*per_axis, 10**6)
    if name in ("window_shape", "output_shape", "rate", "block_shape"):
        optional = call.primitive == "max_unpool" and name == "output_shape"
        return tuple(v for v in shape if not (optional and v is None))
    return {
        "padding_mode": NO_NAME,
        "algorithm": ("fastest", "", None, 3, "Auto"),
        "method": ("cubic", None, 1),
        "order": ("RCD", None, 1, ""),
        "reducer": ("sum", None, 1),
        "precision": ("turbo", 3, ("high",), 1.5, ("high",) * 3, b"high", ""),
        "preferred_element_type": ("float31", "bool", "object", "", 5, [], "int4", Values((2,))),
        "feature_group_count": (*NO_COUNT, 97),
        "offset_group_count": (*NO_COUNT, 97),
        "batch_group_count": (*NO_COUNT, 97),
        "flip_kernel": NO_FLAG,
        "transpose_kernel": NO_FLAG,
        "ceil_mode": NO_FLAG,
        "count_include_pad": NO_FLAG,
        "deterministic": ("yes", None, 1),
        "keepdims": NO_FLAG,
        "divisor_override": (0, 2.5, "2", True, (2,), nan, Traced(2)),
        "norm_order": (0, -1, nan, "2", None, True, (2,), 1j, -math.inf, Traced(2.0), 10**400),
        "reduce_fn": (None, 3, "plus", []),
        "init": ("0", None, [0.0], 1j, (0.0,), Values((1,), plan["dtype"]), Values((), "int32")),
        "levels": ((), 3, ((0,) * rank,), ((1,), (1, 1)), "max", ((1.5,) * rank,), None, (2, 2),
                   ((),), Traced(1)),
        "spatial_axes": ("1", 2.5, (), (0, 0), 99, -99, (1.5,), True, {}, Traced(1), (None,)),
        "dimension_numbers": ("NHWC", 3, ("NHWC",), ("NHWQ", "HWIO", "NHWC"), (1, 2, 3), ()),
    }[name]  # fmt: skip


def wrong_arrays(call: Call, name: str, value: Values) -> tuple[Any, ...]:
    """What no call takes for this array."""
    found: list[Any] = [3.0, "array", [[1.0]], (1.0,), {}]
    if name not in OPTIONAL or call.primitive == "partial_conv" and name == "mask":
        found.append(None)

    def reshaped(*shape: int) -> None:
        found.append(Values(shape, value.dtype, value.kind, value.seed))

    def retyped(dtype: str) -> None:
        found.append(Values(value.shape, dtype, "normal", value.seed))

    *lead, last = value.shape
    first = name in ("inputs", "patches", "lhs")
    if name != "samples" or value.shape:
        reshaped()
    if name in ("kernel", "depthwise_kernel", "pointwise_kernel", "rhs"):
        reshaped(0, *value.shape[1:])
        reshaped(last)
    if name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
        reshaped(*lead[:-1], lead[-1] + 1, last + 1)
    if name in ("bias", "mask", "offsets", "samples", "indices"):
        reshaped(*lead, last + 97)
        reshaped(7, 1, *value.shape)
    if first and name != "lhs":
        reshaped(*lead, 0)
        if call.options.get("spatial_axes") is None:
            reshaped(*lead[:-1], 0, last)
    if first and ("kernel" in call.arrays or "depthwise_kernel" in call.arrays):
        reshaped(*lead, last + 97)
    other = "float32" if value.dtype != "float32" else "float64"
    products = {"kernel", "depthwise_kernel", "rhs"} & set(call.arrays)
    if products and (first or name in products):
        retyped(other)
        retyped("bool")
    if first and call.primitive not in OF_COPIES:
        retyped("bool")
    if first and call.primitive in ORDERED:
        retyped("complex64")
    if name == "samples":
        retyped("int32")
        if math.prod(value.shape):
            found.append(Values(value.shape, value.dtype, "twos", value.seed))
    if name == "indices":
        retyped("float32")
        if math.prod(value.shape):
            found.append(Values(value.shape, "int64", "twos", value.seed))
    return tuple(found)
