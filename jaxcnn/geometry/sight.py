"""What the units of a feature map see along one axis: intervals of pixels, in whole numbers."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

Interval = tuple[int, int]  # the first pixel, and the one past the last
Sources = Callable[[int], Sequence[int]]  # units of one map that a unit of the next one sees


@dataclass(frozen=True, slots=True)
class Sight:
    """Intervals that repeat: unit i + P sees what unit i sees, `step` pixels further on.

    After convolutions and pools P is 1. Behind an upsampling by s neighbouring units may share the
    pixel they come from, and P is s times as large. Where units look about without any rule P is
    their number, and where all see the same the step is 0.

    Attributes:
      phases: what units 0 to P - 1 see, were there no end to the image and to the maps; (0, 0)
        where that is nothing.
      step: pixels.
      real: what each unit sees of the image; (0, 0) where that is nothing.
    """

    phases: tuple[Interval, ...]
    step: int
    real: tuple[Interval, ...]

    @classmethod
    def of_image(cls, pixels: int) -> "Sight":
        """Each pixel sees itself."""
        return cls(((0, 1),), 1, tuple((i, i + 1) for i in range(pixels)))

    def at(self, unit: int) -> Interval:
        """What a unit sees, were there no ends."""
        turns, phase = divmod(unit, len(self.phases))
        first, past = self.phases[phase]
        return first + turns * self.step, past + turns * self.step

    def stride(self) -> Fraction:
        """Pixels from a unit to the next, on average."""
        return Fraction(self.step, len(self.phases))

    def hull(self) -> Interval:
        """(first, size): unit i sees no more than `size` pixels from `first + i * stride`."""
        stride = self.stride()
        seen = [(i, *span) for i, span in enumerate(self.phases) if span[0] < span[1]]
        if not seen:
            return 0, 0
        first = math.floor(min(low - i * stride for i, low, _ in seen))
        size = max(past - first - i * stride for i, _, past in seen)
        return first, math.ceil(size)

    def of_all(self, units: int = 1) -> "Sight":
        """As many units that all see what any of these sees."""
        span = _hull(self.real)
        return Sight((span,), 0, (span,) * units)

    def windows(
        self,
        taps: Sequence[int],
        stride: int,
        units: int,
        input_dilation: int = 1,
        inner: int = 1,
    ) -> "Sight":
        """Unit j sees the units i with i*input_dilation = j*stride + tap for one of the taps.

        With `inner` the units stand in groups of so many: i and j number the groups, and unit k of
        a group sees those units k.
        """

        def sources(j: int) -> list[int]:
            group, unit = divmod(j, inner)
            places = (group * stride + tap for tap in taps)
            found = (divmod(place, input_dilation) for place in places)
            return [place * inner + unit for place, rest in found if rest == 0]

        count = len(self.phases) * input_dilation
        turns = math.lcm(
            count // math.gcd(count, stride * inner),
            input_dilation // math.gcd(input_dilation, stride),
        )
        step = self.step * turns * stride * inner // count
        return self._after(sources, turns * inner, step, units * inner)

    def resized(self, scale: int) -> "Sight":
        """Unit j sees what unit j // scale sees."""
        units = scale * len(self.real)
        return self._after(lambda j: [j // scale], scale * len(self.phases), self.step, units)

    def chosen(self, sources: Sequence[Sequence[int]]) -> "Sight":
        """Unit j sees what the units see that are named for it."""
        phases = [_hull(map(self.at, found)) for found in sources]
        real = [_hull(self.real[i] for i in found) for found in sources]
        return Sight.of_table(phases, real, self)

    @classmethod
    def of_table(
        cls, phases: Sequence[Interval], real: Sequence[Interval], before: "Sight"
    ) -> "Sight":
        """What each unit sees, without any rule; beyond the last unit it goes on as between them.

        Args:
          phases: of every unit.
          real: of every unit.
          before: what the units see that these are made of.
        """
        if before.step == 0 and len(set(real)) == 1:
            return Sight(tuple(real[:1]), 0, tuple(real))
        inside = _interior(phases, tuple(real))
        if inside is not None:
            return inside
        reach = max(len(phases) // 2, 1)
        pairs = zip(phases, phases[reach:], strict=False)
        moves = [
            Fraction(b[0] + b[1] - a[0] - a[1], 2 * reach)
            for a, b in pairs
            if a[0] < a[1] and b[0] < b[1]
        ]
        stride = statistics.median(moves) if moves else before.stride() * len(before.real)
        return _shortest(tuple(phases), round(stride * len(phases)), tuple(real))

    @classmethod
    def interleaved(cls, sights: Sequence["Sight"]) -> "Sight":
        """Unit i of each in turn, then unit i + 1 of each."""
        count, first = len(sights), sights[0]
        real = tuple(sights[j % count].real[j // count] for j in range(count * len(first.real)))
        same = len({sight.stride() for sight in sights}) == 1
        period = math.lcm(*(len(sight.phases) for sight in sights)) if same else len(first.real)
        phases = tuple(sights[j % count].at(j // count) for j in range(period * count))
        if same:
            return _shortest(phases, first.step * period // len(first.phases), real)
        return cls.of_table(phases, real, first)

    def union(self, other: "Sight") -> "Sight":
        """Each unit sees what the two see that lie at its place in both maps."""
        real = tuple(map(_hull, zip(self.real, other.real, strict=True)))
        for one in (self, other):
            if one.step == 0 and len(one.phases) == 1 and real == one.real:
                return one
        if self.stride() != other.stride():
            spans = (_hull((self.at(j), other.at(j))) for j in range(len(real)))
            return Sight.of_table(list(spans), real, self)
        period = math.lcm(len(self.phases), len(other.phases))
        phases = tuple(_hull((self.at(j), other.at(j))) for j in range(period))
        return _shortest(phases, self.step * (period // len(self.phases)), real)

    def _after(self, sources: Sources, period: int, step: int, units: int) -> "Sight":
        """The map whose units see what their sources see."""
        phases = tuple(_hull(map(self.at, sources(j))) for j in range(period))
        there = range(len(self.real))
        real = (_hull(self.real[i] for i in sources(j) if i in there) for j in range(units))
        return _shortest(phases, step, tuple(real))


def _interior(phases: Sequence[Interval], real: tuple[Interval, ...]) -> Sight | None:
    """The rule that all units keep, or those in the middle.

    Those at the edges may see other pixels in place of those that there are not: the last one, as
    in an interpolation, or the first of the other side.
    """
    units = len(phases)
    whole = [(0, units, period) for period in range(1, units // 2 + 1)]
    low, high = units // 4, units - units // 4
    inside = [(low, high, period) for period in range(1, (high - low) // 2 + 1)]
    for low, high, period in (*whole, *inside):
        pairs = [(phases[j], phases[j + period]) for j in range(low, high - period)]
        ((first, last), *others) = {(b[0] - a[0], b[1] - a[1]) for a, b in pairs}
        if others or first != last:
            continue
        turns = -(-low // period)
        start = phases[turns * period : (turns + 1) * period]
        return Sight(tuple((a - first * turns, b - first * turns) for a, b in start), first, real)
    return None


def _shortest(phases: tuple[Interval, ...], step: int, real: tuple[Interval, ...]) -> Sight:
    """The sight with the shortest period."""
    period = len(phases)
    for short in range(1, period):
        if period % short == 0 and step * short % period == 0:
            less = Sight(phases[:short], step * short // period, real)
            if all(less.at(i) == phases[i] for i in range(period)):
                return less
    return Sight(phases, step, real)


def _hull(intervals: Iterable[Interval]) -> Interval:
    """From the first pixel of any to the last of any; (0, 0) if all are empty."""
    seen = [(first, past) for first, past in intervals if first < past]
    if not seen:
        return 0, 0
    return min(first for first, _ in seen), max(past for _, past in seen)
