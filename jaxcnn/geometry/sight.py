"""What the units of a feature map see along one axis: intervals of pixels, in whole numbers."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

Interval = tuple[int, int]  # the first pixel, and the one past the last
Sources = Callable[[int], Sequence[int]]  # units of one map that a unit of the next one sees


@dataclass(frozen=True, slots=True)
class Sight:
    """Intervals that repeat: unit i + P sees what unit i sees, `step` pixels further on.

    After convolutions and pools P is 1. Behind an upsampling by s neighbouring units may share the
    pixel they come from, and P is s times as large.

    Attributes:
      phases: what units 0 to P - 1 see, were there no end to the image and to the maps.
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
        first = math.floor(min(low - i * stride for i, (low, _) in enumerate(self.phases)))
        size = max(past - first - i * stride for i, (_, past) in enumerate(self.phases))
        return first, math.ceil(size)

    def windows(
        self, taps: Sequence[int], stride: int, units: int, input_dilation: int = 1
    ) -> "Sight":
        """Unit j sees the units i with i*input_dilation = j*stride + tap for one of the taps.

        Raises:
          NotImplementedError: some unit sees none.
        """

        def sources(j: int) -> list[int]:
            places = (j * stride + tap for tap in taps)
            return [place // input_dilation for place in places if place % input_dilation == 0]

        count = len(self.phases) * input_dilation
        period = count // math.gcd(count, stride)
        return self._after(sources, period, self.step * period * stride // count, units)

    def resized(self, scale: int, linear: bool) -> "Sight":
        """Unit j sees what unit j // scale sees, or those between whose centres it lies."""

        def sources(j: int) -> list[int]:
            if not linear:
                return [j // scale]
            position = Fraction(2 * j + 1 - scale, 2 * scale)
            return [math.floor(position), math.ceil(position)]

        return self._after(sources, scale * len(self.phases), self.step, scale * len(self.real))

    def cropped(self, low: int, units: int) -> "Sight":
        """The map without its first `low` units, and no longer than `units`."""
        return self._after(lambda j: [j + low], len(self.phases), self.step, units)

    def union(self, other: "Sight") -> "Sight":
        """Each unit sees what the two see that lie at its place in both maps."""
        period = math.lcm(len(self.phases), len(other.phases))
        phases = tuple(_hull((self.at(j), other.at(j))) for j in range(period))
        real = tuple(map(_hull, zip(self.real, other.real, strict=True)))
        return _shortest(phases, self.step * (period // len(self.phases)), real)

    def _after(self, sources: Sources, period: int, step: int, units: int) -> "Sight":
        """The map whose units see what their sources see."""
        phases = tuple(_hull(map(self.at, sources(j))) for j in range(period))
        if any(first == past for first, past in phases):
            raise NotImplementedError("whose windows leave gaps")
        there = range(len(self.real))
        real = (_hull(self.real[i] for i in sources(j) if i in there) for j in range(units))
        return _shortest(phases, step, tuple(real))


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
