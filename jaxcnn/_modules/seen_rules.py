"""Rules that say, for one equation of a Jaxpr, what its output sees of the image.

A rule takes the equation, what its operands see (None for those that do not depend on the image)
and a function that gives the numbers in an operand, where they are known. `seen_moves` has those
for what puts elements elsewhere.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxcnn._modules import seen_moves
from jaxcnn._modules.seen import Atom, Axis, Seen, plain
from jaxcnn._modules.seen_moves import Given, Numbers, cut, everything, only, united

Rule = Callable[[Any, Given, Numbers], Seen]


def joined(equation: Any, given: Given, numbers: Numbers | None = None) -> Seen:
    """Elements that depend on those at their place in all operands, or on a scalar."""
    return united(given, equation.outvars[0].aval.shape)


def along(*names: str) -> Rule:
    """Of what mixes along the axes that a parameter names, and keeps them."""

    def rule(equation: Any, given: Given, numbers: Numbers) -> Seen:
        (name,) = (name for name in names if name in equation.params)
        axes = equation.params[name]
        chosen = set(axes) if isinstance(axes, tuple | list) else {axes}
        return united([seen and seen.mixed(chosen) for seen in given], only(given).shape())

    return rule


def _reduce(equation: Any, given: Given, numbers: Numbers) -> Seen:
    gone = set(equation.params.get("axes", equation.params.get("dimensions", ())))
    return united([seen and seen.without(gone) for seen in given], equation.outvars[0].aval.shape)


def _transpose(equation: Any, given: Given, numbers: Numbers) -> Seen:
    seen = only(given)
    return seen.with_axes(seen.axes[axis] for axis in equation.params["permutation"])


def _broadcast(equation: Any, given: Given, numbers: Numbers) -> Seen:
    seen, shape = only(given), equation.params["shape"]
    axes = [plain(size) for size in shape]
    places = equation.params["broadcast_dimensions"]
    for own, size, place in zip(seen.axes, seen.shape(), places, strict=True):
        if size == shape[place]:
            axes[place] = own
    return seen.with_axes(axes)


def _reshape(equation: Any, given: Given, numbers: Numbers) -> Seen:
    return only(given).reshaped(equation.outvars[0].aval.shape)


def _fft(equation: Any, given: Given, numbers: Numbers) -> Seen:
    rank = len(equation.outvars[0].aval.shape)
    seen = only(given).reduced(range(rank - len(equation.params["fft_lengths"]), rank))
    shape = equation.outvars[0].aval.shape
    return seen.with_axes(axis or plain(n) for axis, n in zip(seen.axes, shape, strict=True))


def _slice(equation: Any, given: Given, numbers: Numbers) -> Seen:
    seen, starts = only(given), equation.params["start_indices"]
    strides = equation.params["strides"] or (1,) * len(starts)
    return cut(seen, starts, strides, equation.outvars[0].aval.shape)


def _pad(equation: Any, given: Given, numbers: Numbers) -> Seen:
    seen = given[0]
    if seen is None:
        return everything(given, equation.outvars[0].aval.shape)
    amounts = equation.params["padding_config"]
    shape = equation.outvars[0].aval.shape
    for axis, ((low, _, inner), units) in enumerate(zip(amounts, shape, strict=True)):
        seen = seen.windows(axis, [-low], 1, units, inner + 1)
    return seen


def _reduce_window(equation: Any, given: Given, numbers: Numbers) -> Seen:
    options, seen = equation.params, only(given)
    sizes, rank = options["window_dimensions"], len(options["window_dimensions"])
    ones = (1,) * rank
    windows = zip(
        sizes,
        options["window_strides"],
        options["padding"],
        options.get("window_dilation") or ones,
        options.get("base_dilation") or ones,
        equation.outvars[0].aval.shape,
        strict=True,
    )
    for axis, (size, stride, (low, _), spacing, dilation, units) in enumerate(windows):
        taps = [tap * spacing - low for tap in range(size)]
        seen = seen.windows(axis, taps, stride, units, dilation)
    return seen


def _conv(equation: Any, given: Given, numbers: Numbers) -> Seen:
    options, shape = equation.params, equation.outvars[0].aval.shape
    if given[0] is None or given[1] is not None:  # a kernel that the image makes
        return everything(given, shape)
    spec, kernel = options["dimension_numbers"], equation.invars[1].aval.shape
    seen = given[0].reduced([spec.lhs_spec[1]])
    axes = [plain(size) for size in shape]
    for place, inside in enumerate(spec.lhs_spec[2:]):
        (low, _), space = options["padding"][place], options["rhs_dilation"][place]
        taps = [tap * space - low for tap in range(kernel[spec.rhs_spec[place + 2]])]
        stride, dilation = options["window_strides"][place], options["lhs_dilation"][place]
        units = shape[spec.out_spec[place + 2]]
        seen = seen.windows(inside, taps, stride, units, dilation)
    for inside, outside in zip(spec.lhs_spec, spec.out_spec, strict=True):
        if inside != spec.lhs_spec[1] and options["batch_group_count"] == 1:
            axes[outside] = seen.axes[inside]
    return seen.with_axes(axes)


def _dot_general(equation: Any, given: Given, numbers: Numbers) -> Seen:
    """The outputs have the common axes, then those of the first, then those of the second."""
    shape = equation.outvars[0].aval.shape
    contracted, common = equation.params["dimension_numbers"]
    free = [
        [n for n in range(len(v.aval.shape)) if n not in (*contracted[side], *common[side])]
        for side, v in enumerate(equation.invars)
    ]
    starts = len(common[0]), len(common[0]) + len(free[0])
    # Where both look about, the outputs stand at the places of one of them: scores of attention
    # depend on two pixels each, and only the first is told apart.
    first = given[0]
    leads = 0 if first is not None and first.numbers(free[0]) else 1
    parts: list[Seen] = []
    for side, seen in enumerate(given):
        if seen is None:
            continue
        told = None in given or side == leads
        weights = numbers(1 - side) if None in given and not common[0] else None
        axes = [plain(size) for size in shape]
        if weights is not None and len(contracted[side]) == 1 and weights.ndim == 2:
            (own,), (other,) = contracted[side], contracted[1 - side]
            seen, axes[starts[1 - side]] = _weighted(seen, own, np.moveaxis(weights, other, 1))
        seen = seen.reduced([*contracted[side], *(() if told else free[side])])
        for place, own in (*enumerate(common[side]), *enumerate(free[side], starts[side])):
            axes[place] = seen.axes[own] or plain(shape[place])
        parts.append(seen.with_axes(axes))
    return united(parts, shape)


def _weighted(seen: Seen, axis: int, weights: np.ndarray) -> tuple[Seen, Axis]:
    """What weighted sums along an axis see, a row of weights each; and the axis of the sums."""
    seen = seen.folded(axis)
    number = seen.whole(axis)
    if number is None or weights.all():
        return seen, plain(len(weights))
    sight = seen.sees[number].chosen([np.flatnonzero(row).tolist() for row in weights])
    emptied = (*seen.axes[:axis], (), *seen.axes[axis + 1 :])
    return seen.with_axes(emptied).with_sight(number, sight), (Atom(number, len(weights)),)


_NAMES = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e bitcast_convert
    bitcast_convert_type cbrt ceil clamp clz complex conj convert_element_type copy copy_p cos cosh
    digamma div eq eq_to erf erf_inv erfc exp exp2 expm1 floor ge gt igamma igamma_grad_a igammac
    imag integer_pow is_finite le le_to lgamma log log1p log2 logistic lt lt_to max min mul mulhi
    name ne neg nextafter not one_minus_square or polygamma polynomial population_count pow pvary
    real reduce_precision regularized_incomplete_beta rem round rsqrt select_n sharding_constraint
    shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square stop_gradient
    sub tan tanh xor zeta
"""
_CUMULATIVE = ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")
_REDUCTIONS = [f"reduce_{name}" for name in ("sum", "max", "min", "prod", "and", "or", "xor")]
RULES: dict[str, Rule] = {
    **dict.fromkeys(_NAMES.split(), joined),
    **dict.fromkeys(_CUMULATIVE, along("axis")),
    **dict.fromkeys((*_REDUCTIONS, "reduce", "argmax", "argmin"), _reduce),
    **dict.fromkeys([f"reduce_window{n}" for n in ("", "_max", "_min", "_sum")], _reduce_window),
    **dict.fromkeys(
        [f"scatter{n}" for n in ("", "-add", "-mul", "-min", "-max", "-sub")], seen_moves.scatter
    ),
    **dict.fromkeys(("reshape", "squeeze"), _reshape),
    "custom_linear_solve": seen_moves.solution,
    "dynamic_update_slice": seen_moves.dynamic_update_slice,
    "broadcast_in_dim": _broadcast,
    "concatenate": seen_moves.concatenate,
    "conv_general_dilated": _conv,
    "dot_general": _dot_general,
    "dynamic_slice": seen_moves.dynamic_slice,
    "fft": _fft,
    "gather": seen_moves.gather,
    "pad": _pad,
    "rev": seen_moves.rev,
    "slice": _slice,
    "sort": along("dimension"),
    "stack": seen_moves.stack,
    "tile": seen_moves.tile,
    "transpose": _transpose,
}
