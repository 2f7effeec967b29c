"""Timing by turns: each round takes one sample of every candidate, so that all meet any noise."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Mapping


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes:
      discard: rounds that are run first and not counted.
      repeats: rounds that are counted, at least.
      sample_seconds: a sample takes as many calls as come to about so long.
      row_seconds: rounds go on until the candidates have run for so long together, 5 times
        `repeats` at most.
      most_seconds: a candidate that has run for so long is not sampled again.
    """

    discard: int = 2
    repeats: int = 7
    sample_seconds: float = 0.004
    row_seconds: float = 0.25
    most_seconds: float = 3.0


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds a call: the samples in the order they were taken, one if each took very long."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        if len(self.samples) < 3:
            return math.nan
        low, _, high = statistics.quantiles(self.samples, n=4)
        return (high - low) / 2 / self.median


def interleaved(candidates: Mapping[str, Callable[[int], float]], plan: Plan) -> dict[str, Timing]:
    """Times candidates by turns.

    Args:
      candidates: by name, functions (calls) -> seconds a call, compiled already.
      plan: how long.
    """
    first = {name: sample(1) for name, sample in candidates.items()}  # also warms up
    calls = {
        name: max(1, min(64, round(plan.sample_seconds / max(seconds, 1e-7))))
        for name, seconds in first.items()
    }
    spent = dict(first)
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    names, begun = list(candidates), time.perf_counter()
    for turn in range(plan.discard + 5 * plan.repeats):
        enough = time.perf_counter() - begun >= plan.row_seconds
        if enough and turn >= plan.discard + plan.repeats:
            break
        names = names[1:] + names[:1]
        for name in names:
            if spent[name] + first[name] > plan.most_seconds:
                continue
            seconds = candidates[name](calls[name])
            spent[name] += calls[name] * seconds
            if turn >= plan.discard:
                samples[name].append(seconds)
    return {name: Timing(tuple(samples[name] or [first[name]])) for name in candidates}
