"""What the elements of an array see of an image, and how moving its axes about changes that.

Some axes of the image are followed, its rows and its columns. A reshape may cut such an axis into
several and merge it with others, so an axis of an array is a product of atoms, the first the most
significant, and an atom belongs to a followed axis or to none:

    (8, 6, 3)                          rows of 8, columns of 6, channels
    (4, 3, 2, 2, 3) after a transpose  rows of 4 and columns of 3, rows of 2 and columns of 2, ...
    (4, 3, 12)                         the last axis: rows of 2, columns of 2, channels of 3
"""

import functools
import itertools
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jaxcnn.geometry.sight import Sight


class Atom(NamedTuple):
    """A factor of an axis.

    Attributes:
      number: of the followed axis that it belongs to, or None.
      size: of it.
      place: by how many units of the followed axis one step along it moves.
    """

    number: int | None
    size: int
    place: int = 1


Axis = tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What an array that depends on the image sees.

    Attributes:
      axes: its axes.
      sees: for each followed axis what its units see; one unit where no atom of it is left.
    """

    axes: tuple[Axis, ...]
    sees: tuple[Sight, ...]

    def atoms(self, number: int) -> list[tuple[int, int, Atom]]:
        """(axis, how many elements of the axis one step is, atom) of a followed axis."""
        found = []
        for place, axis in enumerate(self.axes):
            inner = 1
            for atom in reversed(axis):
                if atom.number == number:
                    found.append((place, inner, atom))
                inner *= atom.size
        return found

    def numbers(self, axes: Iterable[int]) -> set[int]:
        """The followed axes that some axes hold atoms of."""
        held = (atom.number for axis in axes for atom in self.axes[axis])
        return {number for number in held if number is not None}

    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return tuple(math.prod(atom.size for atom in axis) for axis in self.axes)

    def with_axes(self, axes: Iterable[Axis]) -> "Seen":
        """The same sights over other axes, which hold the same atoms."""
        return Seen(tuple(axes), self.sees)

    def with_sight(self, number: int, sight: Sight) -> "Seen":
        """Another sight of one followed axis."""
        return Seen(self.axes, (*self.sees[:number], sight, *self.sees[number + 1 :]))

    def folded(self, axis: int) -> "Seen":
        """With one atom at this axis, where it holds all of one followed axis and no other."""
        atoms, numbers = self.axes[axis], self.numbers([axis])
        if len(atoms) == 1 or not numbers:
            size = math.prod(atom.size for atom in atoms)
            return self if len(atoms) == 1 else self._at(axis, plain(size))
        (number, *others) = numbers
        if others or any(place != axis for place, _, _ in self.atoms(number)):
            return self
        sizes = [atom.size for atom in atoms]
        steps = [atom.place if atom.number == number else 0 for atom in atoms]
        units = math.prod(sizes)
        sight, own = self.sees[number], [atom for atom in atoms if atom.number == number]
        if atoms[: len(own)] == tuple(own) and own == sorted(own, key=lambda a: -a.place):
            scale = math.prod(atom.size for atom in atoms[len(own) :])
            sight = sight.resized(scale) if scale > 1 else sight
        else:
            sight = sight.chosen([[unit] for unit in _counted(sizes, steps)])
        return self._at(axis, (Atom(number, units),)).with_sight(number, sight)

    def whole(self, axis: int) -> int | None:
        """The followed axis that this axis is, one atom for one."""
        atoms = self.axes[axis]
        if len(atoms) == 1 and atoms[0].number is not None:
            number = atoms[0].number
            return number if len(self.atoms(number)) == 1 else None
        return None

    def reduced(self, axes: Collection[int]) -> "Seen":
        """Each element left sees what all see along these axes, which have no atoms left."""
        result = self
        for number in self.numbers(axes):
            atoms = self.atoms(number)
            gone = [atom for place, _, atom in atoms if place in axes]
            left = sorted((a for place, _, a in atoms if place not in axes), key=lambda a: -a.place)
            sight = self.sees[number]
            if not left:
                result = result.with_sight(number, sight.of_all())
                continue
            offsets = list(_counted([a.size for a in gone], [a.place for a in gone]))
            starts = _counted([a.size for a in left], [a.place for a in left])
            units = math.prod(atom.size for atom in left)
            if min(atom.place for atom in left) == math.prod(atom.size for atom in gone):
                sight = sight.windows(sorted(offsets), len(offsets), units)
            else:
                sight = sight.chosen([[start + move for move in offsets] for start in starts])
            result = result.with_sight(number, sight)
        emptied = (() if place in axes else axis for place, axis in enumerate(result.axes))
        return result.with_axes(emptied)._placed()

    def mixed(self, axes: Collection[int]) -> "Seen":
        """Each element sees what all see along these axes, which stay as long as they are."""
        sizes = self.shape()
        gone = self.reduced(axes)
        return gone.with_axes(
            plain(sizes[place]) if place in axes else axis for place, axis in enumerate(gone.axes)
        )

    def without(self, axes: Collection[int]) -> "Seen":
        """Each element left sees what all see along these axes, which are gone."""
        kept = (axis for place, axis in enumerate(self.reduced(axes).axes) if place not in axes)
        return self.reduced(axes).with_axes(kept)

    def windows(
        self, axis: int, taps: Sequence[int], stride: int, units: int, dilation: int = 1
    ) -> "Seen":
        """Units along an axis that see windows of it: as `Sight.windows`."""
        if (list(taps), stride, units, dilation) == ([0], 1, self.shape()[axis], 1):
            return self
        folded = self.folded(axis)
        if not folded.numbers([axis]):
            return folded._at(axis, plain(units))
        atoms = folded.axes[axis]
        number, _, place = atoms[0]
        others = [] if number is None else folded.atoms(number)
        if len(atoms) > 1 or number is None or any(a.place > place for _, _, a in others):
            return folded.mixed([axis])._at(axis, plain(units))
        sight = folded.sees[number].windows(taps, stride, units, dilation, place)
        return folded._at(axis, (Atom(number, units, place),)).with_sight(number, sight)

    def reshaped(self, shape: Sequence[int]) -> "Seen":
        """With other axes that hold the same elements in the same order."""
        atoms = [atom for axis in self.axes for atom in axis if atom.size > 1]
        axes: list[Axis] = []
        for size in shape:
            axis: list[Atom] = []
            while size > 1:
                atom = atoms.pop(0)
                if size % atom.size == 0:
                    axis.append(atom)
                    size //= atom.size
                elif atom.size % size == 0:
                    inner = atom.size // size
                    axis.append(atom._replace(size=size, place=atom.place * inner))
                    atoms.insert(0, atom._replace(size=inner))
                    size = 1
                else:  # the cut goes through an atom
                    return self.reduced(range(len(self.axes))).with_axes(map(plain, shape))
            axes.append(tuple(axis))
        return self.with_axes(axes)

    def merged(self, other: "Seen") -> "Seen":
        """Elements that see what either sees at their place, in arrays of one rank."""
        first, second = self, other
        for axis in range(len(first.axes)):
            if first.numbers([axis]) and second.numbers([axis]):
                if first._layout(axis) != second._layout(axis):
                    first, second = first.folded(axis), second.folded(axis)
        for number in range(len(first.sees)):
            mine, theirs = first._places(number), second._places(number)
            apart = set(mine) - set(theirs) and set(theirs) - set(mine)
            elsewhere = any(first.numbers([place]) for place, *_ in set(theirs) - set(mine))
            if apart or elsewhere:
                second = second.mixed({place for place, *_ in theirs})
        chosen = []
        for axis, (mine, theirs) in enumerate(zip(first.axes, second.axes, strict=True)):
            more = len(second._held(axis)) > len(first._held(axis))
            chosen.append(theirs if more or not mine else mine)
        result = Seen(tuple(chosen), first.sees)
        for number in range(len(result.sees)):
            lead = max((first, second), key=lambda seen: len(seen.atoms(number)))
            places = {(axis, inner): atom.place for axis, inner, atom in lead.atoms(number)}
            result = result._with_places(number, places)
            one, two = (part._spread(number, result) for part in (first, second))
            result = result.with_sight(number, one.union(two))
        return result

    def _held(self, axis: int) -> list[Atom]:
        return [atom for atom in self.axes[axis] if atom.number is not None]

    def _places(self, number: int) -> list[tuple[int, int, int]]:
        """Where the atoms of a followed axis are: (axis, steps in it, size), first the largest."""
        atoms = sorted(self.atoms(number), key=lambda found: -found[2].place)
        return [(axis, inner, atom.size) for axis, inner, atom in atoms]

    def _placed(self) -> "Seen":
        """With the places of atoms as their sizes say."""
        result = self
        for number in range(len(self.sees)):
            units, places = 1, {}
            for axis, inner, atom in sorted(self.atoms(number), key=lambda found: found[2].place):
                places[axis, inner] = units
                units *= atom.size
            result = result._with_places(number, places)
        return result

    def _with_places(self, number: int, places: dict[tuple[int, int], int]) -> "Seen":
        axes = []
        for place, axis in enumerate(self.axes):
            inner, atoms = math.prod(atom.size for atom in axis), []
            for atom in axis:
                inner //= atom.size
                own = atom.number == number
                atoms.append(atom._replace(place=places[place, inner]) if own else atom)
            axes.append(tuple(atoms))
        return self.with_axes(axes)

    def _spread(self, number: int, like: "Seen") -> Sight:
        """What is seen at the units of `like`, which has all of these atoms, and may have more."""
        sight, mine, theirs = self.sees[number], self._places(number), like._places(number)
        if mine == theirs:
            return sight
        if not mine:
            return sight.of_all(math.prod(size for *_, size in theirs))
        steps = {(axis, inner): atom.place for axis, inner, atom in self.atoms(number)}
        sizes = [size for *_, size in theirs]
        units = _counted(sizes, [steps.get((axis, inner), 0) for axis, inner, _ in theirs])
        return sight.chosen([[unit] for unit in units])

    def interleaved(self, others: Sequence["Seen"], axis: int) -> "Seen | None":
        """Arrays stacked along a new axis, which tells apart what they see along a followed one.

        None where they look about in more than one way, or their atoms are not in the same places.
        """
        parts = [self, *others]
        different = [
            number
            for number in range(len(self.sees))
            if len({part.sees[number] for part in parts}) > 1
        ]
        if len(different) != 1:
            return None
        (number,) = different
        if len({tuple(part._places(number)) for part in parts}) > 1 or not self.atoms(number):
            return None
        moved = []
        for part in parts:
            atoms = tuple(
                tuple(
                    a._replace(place=a.place * len(parts)) if a.number == number else a for a in own
                )
                for own in part.axes
            )
            own = (Atom(number, len(parts)),)
            sight = Sight.interleaved([each.sees[number] for each in parts])
            moved.append(Seen((*atoms[:axis], own, *atoms[axis:]), part.sees))
            moved[-1] = moved[-1].with_sight(number, sight)
        return functools.reduce(Seen.merged, moved)

    def _layout(self, axis: int) -> list[tuple[int | None, int]]:
        return [(atom.number, atom.size) for atom in self.axes[axis]]

    def _at(self, axis: int, atoms: Axis) -> "Seen":
        return self.with_axes((*self.axes[:axis], atoms, *self.axes[axis + 1 :]))


def plain(size: int) -> Axis:
    """An axis of which nothing is followed."""
    return (Atom(None, size),)


def _counted(sizes: Sequence[int], steps: Sequence[int]) -> Iterable[int]:
    """Where each element lies, in row-major order."""
    for index in itertools.product(*map(range, sizes)):
        yield sum(i * step for i, step in zip(index, steps, strict=True))
