"""Rules that say, for one equation of a Jaxpr, what its outputs see of the input.

A rule takes the equation and what its first operand sees, where no other operand depends on the
input. A primitive without a rule is unknown.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Seen:
    """What an array that depends on the input sees.

    Attributes:
      axes: for each of its axes the number of the followed one that it is, or None.
      sees: for each followed axis what its places see; None where every output sees all of them,
        as after a sum over that axis.
    """

    axes: tuple[int | None, ...]
    sees: tuple[Any, ...]


class Unknown(Exception):
    """A function does something with what it follows that nobody here knows; its argument says."""


def joined(equation: Any, entering: list[Seen | None]) -> Seen | None:
    """What elements see that depend on those at their place in all operands, or on a scalar."""
    rank = len(equation.outvars[0].aval.shape)
    return union([seen and replace(seen, axes=seen.axes or (None,) * rank) for seen in entering])


def union(entering: Sequence[Seen | None]) -> Seen | None:
    """What is seen in one of several arrays of one shape."""
    dependent = [seen for seen in entering if seen]
    if not dependent:
        return None
    axes = []
    for named in zip(*(seen.axes for seen in dependent), strict=True):
        names = set(named) - {None}
        if len(names) > 1:
            raise Unknown("a sum of several axes of pixels")
        axes.append(names.pop() if names else None)
    sees = (_either(several) for several in zip(*(seen.sees for seen in dependent), strict=True))
    return Seen(tuple(axes), tuple(sees))


def _either(several: tuple[Any, ...]) -> Any:
    """What the places of an axis see that see what any of several does."""
    first, *others = several
    for other in others:
        if first is not other:
            first = None if first is None or other is None else first.union(other)
    return first


def kept(kind: str, seen: Seen, axes: Sequence[int]) -> Seen:
    """The same, if none of the axes that are cut up or put together is followed."""
    if any(seen.axes[axis] is not None for axis in axes):
        raise Unknown(f"`{kind}` along pixels")
    return seen


def _mapped(seen: Seen, axes: Sequence[int | None]) -> Seen:
    """With other axes; of a followed one that is lost all places are seen."""
    return _all(Seen(tuple(axes), seen.sees), set(seen.axes) - set(axes))


def _all(seen: Seen, numbers: Collection[int | None]) -> Seen:
    """With all places of the axes with these numbers seen."""
    sees = (None if number in numbers else own for number, own in enumerate(seen.sees))
    return Seen(seen.axes, tuple(sees))


def _over(name: str) -> Callable[[Any, Seen], Seen]:
    """Of what mixes along the axes that a parameter names, and keeps them."""

    def rule(equation: Any, seen: Seen) -> Seen:
        named = equation.params[name]
        axes = named if isinstance(named, tuple) else (named,)
        return _all(seen, [seen.axes[axis] for axis in axes])

    return rule


def _reduce(equation: Any, seen: Seen) -> Seen:
    gone = equation.params["axes"]
    return _mapped(seen, [own for axis, own in enumerate(seen.axes) if axis not in gone])


def _squeeze(equation: Any, seen: Seen) -> Seen:
    gone = equation.params["dimensions"]
    return _mapped(seen, [own for axis, own in enumerate(seen.axes) if axis not in gone])


def _transpose(equation: Any, seen: Seen) -> Seen:
    return _mapped(seen, [seen.axes[axis] for axis in equation.params["permutation"]])


def _broadcast(equation: Any, seen: Seen) -> Seen:
    shape, places = equation.params["shape"], equation.params["broadcast_dimensions"]
    axes: list[int | None] = [None] * len(shape)
    for own, size, place in zip(seen.axes, equation.invars[0].aval.shape, places, strict=True):
        axes[place] = own if size == shape[place] else None
    return _mapped(seen, axes)


def _reshape(equation: Any, seen: Seen) -> Seen:
    """A followed axis lives on where it is one again: with as many elements before it.

    But for that it may only be flattened, with all axes behind it.
    """
    before, after = equation.invars[0].aval.shape, tuple(equation.params["new_sizes"])
    starts = {(math.prod(before[:axis]), before[axis]): own for axis, own in enumerate(seen.axes)}
    places = [(math.prod(after[:axis]), size) for axis, size in enumerate(after)]
    axes = [starts.get(place) if place[1] > 1 else None for place in places]
    lost = [axis for axis, own in enumerate(seen.axes) if own not in axes]
    if lost and after != (*before[: lost[0]], math.prod(before[lost[0] :])):
        raise Unknown("`reshape` of pixels")
    return _mapped(seen, axes)


def dot_general(equation: Any, entering: list[Seen | None]) -> Seen:
    """One of the two depends on the input; the outputs have the common axes, then its own."""
    side = 0 if entering[0] else 1
    (seen,) = filter(None, entering)
    contracted, batch = (axes[side] for axes in equation.params["dimension_numbers"])
    free = [seen.axes[axis] for axis in range(len(seen.axes)) if axis not in {*contracted, *batch}]
    common = [seen.axes[axis] for axis in batch]
    others = (None,) * (len(equation.outvars[0].aval.shape) - len(common) - len(free))
    return _mapped(seen, [*common, *others, *free] if side else [*common, *free, *others])


def _slice(equation: Any, seen: Seen) -> Seen:
    starts = equation.params["start_indices"]
    strides = equation.params["strides"] or (1,) * len(starts)
    return _windows(
        equation, seen, seen.axes, [([a], s) for a, s in zip(starts, strides, strict=True)]
    )


def _pad(equation: Any, seen: Seen) -> Seen:
    amounts = equation.params["padding_config"]
    if any(
        own is not None and inside for own, (_, _, inside) in zip(seen.axes, amounts, strict=True)
    ):
        raise Unknown("`pad` between pixels")
    return _windows(equation, seen, seen.axes, [([-low], 1) for low, _, _ in amounts])


def _reduce_window(equation: Any, seen: Seen) -> Seen:
    options = equation.params
    if any(rate > 1 for rate in options.get("base_dilation", ())):
        raise Unknown("a window over a dilated input")
    taps = options["window_dimensions"], options["window_dilation"], options["padding"]
    windows = [
        ([tap * space - low for tap in range(size)], stride)
        for size, space, (low, _), stride in zip(*taps, options["window_strides"], strict=True)
    ]
    return _windows(equation, seen, seen.axes, windows)


def _conv(equation: Any, seen: Seen) -> Seen:
    options, kernel = equation.params, equation.invars[1].aval.shape
    numbers = options["dimension_numbers"]
    if any(rate > 1 for rate in options["lhs_dilation"]):
        raise Unknown("a convolution of a dilated input")
    axes: list[int | None] = [None] * len(seen.axes)
    windows: list[tuple[list[int], int]] = [([0], 1)] * len(axes)
    for place, (inside, outside) in enumerate(zip(numbers.lhs_spec, numbers.out_spec, strict=True)):
        if place != 1:
            axes[outside] = seen.axes[inside]
        if place > 1:
            (low, _), space = options["padding"][place - 2], options["rhs_dilation"][place - 2]
            taps = range(kernel[numbers.rhs_spec[place]])
            stride = options["window_strides"][place - 2]
            windows[outside] = [tap * space - low for tap in taps], stride
    return _windows(equation, seen, axes, windows)


def _windows(
    equation: Any, seen: Seen, axes: Sequence[int | None], windows: Sequence[tuple[list[int], int]]
) -> Seen:
    """What windows see along the followed axes; one whose places stay where they are is none."""
    sees = list(_mapped(seen, axes).sees)
    before = {own: size for own, size in zip(seen.axes, equation.invars[0].aval.shape, strict=True)}
    for own, units, (taps, stride) in zip(
        axes, equation.outvars[0].aval.shape, windows, strict=True
    ):
        same = (taps, stride, units) == ([0], 1, before[own])
        if own is not None and sees[own] and not same:
            sees[own] = sees[own].windows(taps, stride, units)
    return Seen(tuple(axes), tuple(sees))


_CUMULATIVE = ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")
_REDUCTIONS = ("sum", "max", "min", "prod", "and", "or", "xor")
RULES: dict[str, Callable[[Any, Seen], Seen]] = {
    **dict.fromkeys(_CUMULATIVE, _over("axis")),
    **dict.fromkeys([f"reduce_{name}" for name in _REDUCTIONS], _reduce),
    **dict.fromkeys(("argmax", "argmin"), _reduce),
    **dict.fromkeys(
        [f"reduce_window{name}" for name in ("", "_max", "_min", "_sum")], _reduce_window
    ),
    "broadcast_in_dim": _broadcast,
    "conv_general_dilated": _conv,
    "pad": _pad,
    "reshape": _reshape,
    "rev": _over("dimensions"),
    "slice": _slice,
    "sort": _over("dimension"),
    "split": lambda equation, seen: kept("split", seen, [equation.params["axis"]]),
    "squeeze": _squeeze,
    "transpose": _transpose,
}
_NAMES = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp
    complex conj convert_element_type copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2
    expm1 floor ge gt igamma igammac imag integer_pow is_finite le lgamma log log1p logistic lt max
    min mul name ne neg nextafter not or polygamma pow real reduce_precision
    regularized_incomplete_beta rem round rsqrt select_n sharding_constraint shift_left
    shift_right_arithmetic shift_right_logical sign sin sinh sqrt square stop_gradient sub tan tanh
    xor zeta
"""
ELEMENTWISE = frozenset(_NAMES.split())
