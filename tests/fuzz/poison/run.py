"""All that runs in poisoned memory, in order, and what came of it."""

import functools
import time
from collections import Counter
from collections.abc import Callable

import jax

from tests.fuzz.calls import Call
from tests.fuzz.checking import Checker, Disagreement
from tests.fuzz.poison import risky, rows
from tests.fuzz.poison.repeated import Repeated
from tests.fuzz.primitives import PRIMITIVES

KEPT = 100  # compiled programs; more of them fill the memory


class Run:
    """What is counted, and what failed.

    Attributes:
      counts: programs, by ("rows", "drawn" or "refused").
      failures: each a message and what makes the same call again.
    """

    def __init__(
        self,
        calls: int,
        on_failure: Callable[[str], None],
        on_program: Callable[[str], None] = lambda name: None,
    ):
        """Runs each program `calls` times; `on_program` hears which one begins."""
        self.calls, self.on_failure, self.on_program = calls, on_failure, on_program
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.seconds = 0.0

    @property
    def made(self) -> int:
        """Programs so far."""
        return sum(self.counts.values())

    def all(self, part: str, draws: int, seed: int, primitive: str = "") -> None:
        """Rows of the tables, the known calls, and `draws` calls shared by all primitives."""
        start = time.process_time()
        for case in rows.cases(part, primitive):
            check = functools.partial(
                rows.agree, case, calls=self.calls, second_order=part == "all"
            )
            self.on_program(case.primitive)
            self._check("rows", check, f"the row {case.primitive}: {case.name}")
        names = [name for name in sorted(PRIMITIVES) if primitive in name]
        for call in risky.KNOWN:
            if call.primitive in names:
                self._draw(call)
        for place, name in enumerate(names):
            share = (draws + len(names) - 1 - place) // len(names)
            for call in risky.calls(name, share, seed):
                self._draw(call)
        self.seconds = time.process_time() - start

    def _draw(self, call: Call) -> None:
        checker = Checker(functools.partial(Repeated, calls=self.calls))
        named = call.options.get("algorithm", "auto") != "auto"
        self.on_program(call.primitive)
        again = "poisoned" + call.line().removeprefix("replay")
        self._check("drawn", lambda: checker.agree(call, may_refuse=named), again)

    def _check(self, kind: str, check: Callable[[], bool | None], again: str) -> None:
        try:
            self.counts["refused" if check() is False else kind] += 1
        except Disagreement as wrong:
            self._failed(kind, f"{wrong}\n    {again}")
        except Exception as error:  # the reference refuses it, or the check is wrong
            self._failed(kind, f"{type(error).__name__}: {error}\n    {again}")
        if self.made % KEPT == 0:
            jax.clear_caches()

    def _failed(self, kind: str, message: str) -> None:
        self.counts[kind] += 1
        self.failures.append(message)
        self.on_failure(message)
