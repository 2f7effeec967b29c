"""Rules for what puts elements elsewhere: cutting, picking, joining, turning round.

What moves pixels to places that depend on numbers nobody knows sees everything along those axes.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxcnn._modules.seen import Atom, Axis, Seen, plain
from jaxcnn.geometry.sight import Sight

Given = Sequence[Seen | None]
Numbers = Callable[[int], np.ndarray | None]


def united(given: Given, shape: Sequence[int]) -> Seen:
    """What is seen in arrays of one shape, or scalars, at the same place; one of them is seen."""
    found = [
        seen if seen.axes else seen.with_axes(map(plain, shape))
        for seen in given
        if seen is not None
    ]
    return functools.reduce(Seen.merged, found)


def everything(given: Given, shape: Sequence[int]) -> Seen:
    """What all of some operands see at once, for every element of an array."""
    found = [
        seen.reduced(range(len(seen.axes))).with_axes(map(plain, shape))
        for seen in given
        if seen is not None
    ]
    return united(found, shape)


def only(given: Given) -> Seen:
    """What the only operand sees that depends on the image."""
    return next(seen for seen in given if seen is not None)


def cut(seen: Seen, starts: Sequence[int], strides: Sequence[int], shape: Sequence[int]) -> Seen:
    """Slices with steps along all axes."""
    for axis, (start, stride, units) in enumerate(zip(starts, strides, shape, strict=True)):
        seen = seen.windows(axis, [start], stride, units)
    return seen


def dynamic_slice(equation: Any, given: Given, numbers: Numbers) -> Seen:
    """A slice that begins where numbers say."""
    seen, sizes = given[0], equation.params["slice_sizes"]
    if seen is None:
        return everything(given, sizes)
    starts = [numbers(place) for place in range(1, len(given))]
    at = [int(start) for start in starts if start is not None]
    if len(at) == len(sizes):
        room = zip(at, seen.shape(), sizes, strict=True)
        return cut(seen, [max(0, min(a, n - s)) for a, n, s in room], (1,) * len(at), sizes)
    shorter = {axis for axis, size in enumerate(seen.shape()) if size != sizes[axis]}
    rest = seen.mixed(shorter)
    axes = (plain(sizes[n]) if n in shorter else axis for n, axis in enumerate(rest.axes))
    return _beside(rest.with_axes(axes), given[1:], sizes)


def dynamic_update_slice(equation: Any, given: Given, numbers: Numbers) -> Seen:
    """What is written lies where numbers say, if they are known."""
    (into, written, *places), shape = given, equation.outvars[0].aval.shape
    starts = [numbers(place) for place in range(2, len(given))]
    at = [int(start) for start in starts if start is not None]
    if written is None or any(places) or len(at) < len(shape):
        return scatter(equation, given, numbers)
    for axis, (start, have, size) in enumerate(zip(at, written.shape(), shape, strict=True)):
        written = written.windows(axis, [-max(0, min(start, size - have))], 1, size)
    return united([into, written], shape)


def _beside(seen: Seen, others: Given, shape: Sequence[int]) -> Seen:
    """The same, with what all of others see."""
    return united([seen, everything(others, shape)], shape) if any(others) else seen


def scatter(equation: Any, given: Given, numbers: Numbers) -> Seen:
    """What is written may be anywhere in what it is written into."""
    (into, *written), shape = given, equation.outvars[0].aval.shape
    return everything(given, shape) if into is None else _beside(into, written, shape)


def gather(equation: Any, given: Given, numbers: Numbers) -> Seen:
    """Places that indices name, along one axis exactly where they are known."""
    seen, indices = given
    options, shape = equation.params, equation.outvars[0].aval.shape
    where = options["dimension_numbers"]
    if seen is None:
        return everything(given, shape)
    sizes, moved = options["slice_sizes"], set(where.start_index_map)
    batch = [axis for axis in range(len(shape)) if axis not in where.offset_dims]
    found = None if indices is not None else numbers(1)
    kept = [axis for axis in range(len(sizes)) if axis not in where.collapsed_slice_dims]
    if where.operand_batching_dims:
        return everything(given, shape)
    if found is not None and len(moved) == 1 and found.shape[-1] == 1:
        (axis,) = moved
        seen = seen.folded(axis)
        number = seen.whole(axis)
        if number is not None and sizes[axis] == 1 and axis not in kept:
            last = seen.shape()[axis] - 1
            chosen = np.clip(found.reshape(-1), 0, last).astype(int)
            sight = seen.sees[number].chosen([[unit] for unit in chosen.tolist()])
            axes: list[Axis] = [()] * len(shape)
            for place, own in zip(where.offset_dims, kept, strict=True):
                axes[place] = seen.axes[own]
            sizes_there = [shape[place] for place in batch]
            for n, place in enumerate(batch):
                step = math.prod(sizes_there[n + 1 :])
                axes[place] = (Atom(number, shape[place], step),)
            return seen.with_axes(axes).with_sight(number, sight)
        if found.size == 1 and not batch:
            start = int(np.clip(found.reshape(()), 0, seen.shape()[axis] - sizes[axis]))
            part = seen.windows(axis, [start], 1, sizes[axis])
            return part.with_axes(part.axes[own] for own in kept)
    rest = seen.reduced(moved)
    axes = [plain(size) for size in shape]
    for place, own in zip(where.offset_dims, kept, strict=True):
        if own not in moved and sizes[own] == seen.shape()[own]:
            axes[place] = rest.axes[own]
        else:
            rest = rest.reduced([own])
    return _beside(rest.with_axes(axes), given[1:], shape)


def concatenate(equation: Any, given: Given, numbers: Numbers) -> Seen:
    """Arrays one after another along an axis."""
    axis, shape = equation.params["dimension"], equation.outvars[0].aval.shape
    sizes = [variable.aval.shape[axis] for variable in equation.invars]
    folded = [seen and seen.folded(axis) for seen in given]
    found = {number for seen in folded if seen for number in seen.numbers([axis])}
    whole = {seen.whole(axis) for seen in folded if seen and seen.numbers([axis])}
    if len(found) == 1 and whole == found:
        (number,) = found
        spans = [(_spans(seen, number, size)) for seen, size in zip(folded, sizes, strict=True)]
        before = next(seen for seen in folded if seen and seen.whole(axis) == number)
        phases, real = (sum((span[n] for span in spans), ()) for n in (0, 1))
        sight = Sight.of_table(phases, real, before.sees[number])
        parts = [_resized(seen, axis, number, sight) for seen in folded if seen]
        return united(parts, shape)
    alone = _alone(folded, sizes, axis, shape)
    if not found and alone is not None:
        return alone
    parts = [seen and seen.mixed([axis]) if found else seen for seen in folded]
    moved = [seen and seen.with_axes(_with(seen.axes, axis, plain(shape[axis]))) for seen in parts]
    return united(moved, shape)


def _spans(seen: Seen | None, number: int, units: int) -> tuple[Any, Any]:
    """What each unit sees beyond the ends, and what of the image."""
    if seen is None:
        return ((0, 0),) * units, ((0, 0),) * units
    sight = seen.sees[number]
    if len(sight.real) != units:
        sight = sight.of_all(units)
    return tuple(map(sight.at, range(units))), sight.real


def _resized(seen: Seen, axis: int, number: int, sight: Any) -> Seen:
    atoms = (Atom(number, len(sight.real)),)
    return seen.with_axes(_with(seen.axes, axis, atoms)).with_sight(number, sight)


def _with(axes: Sequence[Axis], axis: int, atoms: Axis) -> tuple[Axis, ...]:
    return (*axes[:axis], atoms, *axes[axis + 1 :])


def _alone(parts: Given, sizes: Sequence[int], axis: int, shape: Sequence[int]) -> Seen | None:
    """Single units one after another, each of which sees its own pixels of one followed axis."""
    seen = [part for part in parts if part]
    for number in range(len(seen[0].sees)):
        single = not any(part.atoms(number) for part in seen)
        if single and len({part.sees[number].real for part in seen}) > 1:
            spans = [_spans(part, number, n) for part, n in zip(parts, sizes, strict=True)]
            phases, real = (sum((span[n] for span in spans), ()) for n in (0, 1))
            whole = Sight.of_table(phases, real, Sight.of_image(1))
            return united([_resized(part, axis, number, whole) for part in seen], shape)
    return None


def stack(equation: Any, given: Given, numbers: Numbers) -> Seen:
    """Arrays beside one another along a new axis."""
    shape, axis = equation.outvars[0].aval.shape, equation.params["axis"]
    sizes = (1,) * len(given)
    first, *others = given
    if first and all(others):
        apart = first.interleaved([seen for seen in others if seen], axis)
        if apart is not None:
            return apart
    given = [s and s.with_axes((*s.axes[:axis], (), *s.axes[axis:])) for s in given]
    alone = _alone(given, sizes, axis, shape)
    if alone is not None:
        return alone
    wide = plain(shape[axis])
    return united([s and s.with_axes(_with(s.axes, axis, wide)) for s in given], shape)


def rev(equation: Any, given: Given, numbers: Numbers) -> Seen:
    """The other way round."""
    seen = only(given)
    for axis in equation.params["dimensions"]:
        seen = seen.folded(axis)
        number = seen.whole(axis)
        if number is None:
            seen = seen.mixed([axis]) if seen.numbers([axis]) else seen
        else:
            units = range(seen.shape()[axis])
            sight = seen.sees[number].chosen([[unit] for unit in reversed(units)])
            seen = seen.with_sight(number, sight)
    return seen


def tile(equation: Any, given: Given, numbers: Numbers) -> Seen:
    """Copies one after another along all axes."""
    seen, times = only(given), equation.params["reps"]
    return seen.with_axes(
        (*plain(count), *axis) if count > 1 else axis
        for count, axis in zip(times, seen.axes, strict=True)
    )


def unstack(seen: Seen, axis: int) -> list[Seen]:
    """The slices along an axis, without it."""
    slices = (seen.windows(axis, [unit], 1, 1) for unit in range(seen.shape()[axis]))
    return [each.with_axes((*each.axes[:axis], *each.axes[axis + 1 :])) for each in slices]


def matrices(given: Given, shape: Sequence[int]) -> Seen:
    """What a decomposition or a solution sees: whole matrices, each of a batch by itself."""
    parts = []
    for seen in given:
        if seen is not None:
            batch = len(seen.axes) - 2
            reduced = seen.reduced(range(batch, batch + 2))
            rest = map(plain, shape[batch:])
            parts.append(reduced.with_axes((*reduced.axes[:batch], *rest)))
    return united(parts, shape)


def solution(equation: Any, given: Given, numbers: Numbers) -> Seen:
    """Of systems of equations: each of a batch by itself, where all that it is made of has one."""
    shape = equation.outvars[0].aval.shape
    batch = shape[:-2]
    if any(seen and seen.shape()[: len(batch)] != batch for seen in given):
        return everything(given, shape)
    parts = []
    for seen in filter(None, given):
        reduced = seen.reduced(range(len(batch), len(seen.axes)))
        parts.append(reduced.with_axes((*reduced.axes[: len(batch)], *map(plain, shape[-2:]))))
    return united(parts, shape)
