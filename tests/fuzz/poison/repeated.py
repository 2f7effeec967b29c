"""The same program again and again with poison around its arrays: the same bits each time."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from tests.fuzz.calls import Values
from tests.fuzz.checking import Disagreement
from tests.fuzz.poison import memory

CALLS = 20


class Repeated:
    """A function, compiled, that is called again and again in poisoned memory.

    Attributes:
      fn: `fn(moving, rest, cotangent)`, all arrays.
      calls: how often.
      second_order: whether the derivatives of all outputs along random tangents of `moving` come
        out too, of which the bits alone are compared.
    """

    def __init__(self, fn: Callable[..., Any], *, calls: int = CALLS, second_order: bool = False):
        self.fn, self.calls, self.second_order = fn, calls, second_order
        self._compiled: jax.stages.Compiled | None = None

    def __call__(self, moving: Any, rest: Any, cotangent: np.ndarray) -> Any:
        """What the first call gives.

        Raises:
          Disagreement: another call gives other bits.
        """
        arguments = jax.tree.map(np.asarray, (moving, rest, cotangent))
        if self._compiled is None:
            self._compiled = jax.jit(self._all).lower(*arguments).compile()
        compiled, sizes, first = self._compiled, memory.sizes_of(self._compiled), None
        poisons = itertools.cycle(memory.POISONS)
        for call, poison in zip(range(self.calls), poisons, strict=False):
            filled = call // len(memory.POISONS) % 2 == 1
            surrounded = functools.partial(memory.surrounded, poison=poison)
            placed = jax.tree.map(surrounded, arguments)
            with memory.poisoned(sizes, poison, filled):
                found = jax.block_until_ready(compiled(*placed))
            kept = jax.tree.map(np.array, found)
            first = kept if first is None else first
            _compare(first, kept, f"call {call + 1} with {poison} around")
        return first[0] if self.second_order else first

    def _all(self, moving, rest, cotangent):
        if not self.second_order:
            return self.fn(moving, rest, cotangent)
        tangents = jax.tree.map(_tangent, moving)
        return jax.jvp(lambda moving: self.fn(moving, rest, cotangent), (moving,), (tangents,))


def _tangent(array) -> np.ndarray:
    return Values(array.shape, str(array.dtype), "normal", 3).array()


def _compare(first: Any, other: Any, which: str) -> None:
    """Raises where two trees of arrays differ in a bit."""
    pairs = zip(jax.tree.leaves_with_path(first), jax.tree.leaves(other), strict=True)
    for (path, one), two in pairs:
        if one.tobytes() == two.tobytes():
            continue
        places = np.argwhere((one != two) & ~(np.isnan(one) & np.isnan(two)))
        place = tuple(int(i) for i in places[0]) if len(places) else ()
        raise Disagreement(
            f"{jax.tree_util.keystr(path)}{list(place)} is {two[place]!r} in {which}, "
            f"{one[place]!r} in the first ({len(places)} of {one.size} differ)"
        )
