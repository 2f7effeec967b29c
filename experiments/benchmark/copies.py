"""How often a row's batch is repeated, on the device, so that it fills it.

The rows are of a size that a CPU computes in milliseconds. A GPU takes microseconds for them, less
than a launch from Python, and finds the arrays of the call before in its cache.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax

from experiments.benchmark.registry import Benchmark

MOST = 64


@dataclasses.dataclass(frozen=True)
class Copies:
    """What is repeated.

    Attributes:
      count: how often; 1 leaves all as it is.
      arrays: for each argument whether it has the batch.
    """

    count: int
    arrays: tuple[bool, ...]

    def lengthened(self, shapes: Sequence[Any]) -> list[jax.ShapeDtypeStruct]:
        """The shapes of the arguments with their batches repeated."""
        return [
            jax.ShapeDtypeStruct((a.shape[0] * self.count, *a.shape[1:]), a.dtype) if has else a
            for a, has in zip(shapes, self.arrays, strict=True)
        ]


def copies(row: Benchmark, shapes: Sequence[Any], megabytes: float) -> Copies:
    """As many copies as bring the larger of a primitive's first argument and output to a size.

    Args:
      row: of the benchmark; a step of a network is left as it is.
      shapes: of its arguments.
      megabytes: the size, in float32; 0 repeats nothing.
    """
    if row.suite != "primitives" or not megabytes:
        return Copies(1, (False,) * len(shapes))
    output = jax.eval_shape(row.ours, *shapes)
    largest = 4 * max(math.prod(shapes[0].shape), math.prod(output.shape))
    count = max(1, min(MOST, round(megabytes * 1e6 / largest)))
    length = shapes[0].shape[0]
    alike = tuple(a.shape[:1] == (length,) for a in shapes)  # a kernel may be so by chance
    wanted = (length * count, *output.shape[1:])
    for arrays in (alike, (True,) + (False,) * (len(shapes) - 1)):
        try:
            found = jax.eval_shape(row.ours, *Copies(count, arrays).lengthened(shapes))
        except (TypeError, ValueError):
            continue
        if found.shape == wanted:
            return Copies(count, arrays)
    return Copies(1, (False,) * len(shapes))
