"""The state machine that draws: one call, changed in one place at a time, checked at each step."""

import dataclasses
import functools
import time
from collections import Counter
from collections.abc import Callable

import hypothesis
import hypothesis.strategies as st
import jax
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.fuzz import (  # noqa: F401  these register what they draw
    drawn_convolutions,
    drawn_others,
    drawn_pools,
    drawn_transposed,
    peers,
)
from tests.fuzz.breaking import broken
from tests.fuzz.calls import FINITE, Call
from tests.fuzz.checking import Checker, Disagreement, refusal
from tests.fuzz.choices import Choices
from tests.fuzz.primitives import PRIMITIVES, Plan

# A round draws calls of one primitive by some machines of some steps each, fewer in a short run.
# It has a seed of its own: in long rounds Hypothesis comes back to what it drew before.
STEPS = 7
MACHINES = 6
KEPT = 200  # compiled programs; more of them fill the memory


@dataclasses.dataclass(frozen=True)
class Failure:
    """A call that does not do as the contract says.

    Attributes:
      primitive: which function.
      kind: "valid", "invalid", "torch", or "check" where the check itself raised.
      line: of Python, which makes the call again and checks it.
      message: what is wrong.
    """

    primitive: str
    kind: str
    line: str
    message: str


class Session:
    """The draws of one run, and what they found."""

    def __init__(
        self,
        draws: int,
        *,
        names: list[str] | None = None,
        torch: bool = False,
        on_draw: Callable[["Session", str], None] | None = None,
        on_failure: Callable[[Failure], None] | None = None,
    ):
        """Draws `draws` calls of `names`, all primitives when None.

        Args:
          draws: how many.
          names: of primitives.
          torch: whether they are held against PyTorch too.
          on_draw: called after each with this and the primitive's name.
          on_failure: called with each failure.
        """
        self.draws = draws
        self.names = sorted(PRIMITIVES) if names is None else names
        self.torch = torch
        self.on_draw, self.on_failure = on_draw, on_failure
        self.counts: Counter[tuple[str, str]] = Counter()
        self.failures: list[Failure] = []
        self.checker = Checker()
        self.made = 0
        self.seconds = 0.0
        self._until = draws
        self._cleared = 0

    @property
    def done(self) -> bool:
        """Whether as many calls were drawn as were asked for, or as this round may draw."""
        return self.made >= self._until

    def run(self, seed: int) -> None:
        """Draws from `seed` until all are made."""
        start = time.process_time()
        settings = _settings(self.draws // len(self.names))
        round_, count = 0, len(self.names)
        while self.made < self.draws:
            # In the first pass each leaves the others their share, so that none is missed.
            share = (self.draws - self.made) // max(count - round_, 1)
            self._until = self.made + max(share, 1)
            make = functools.partial(Machine, self, self.names[round_ % len(self.names)])

            def machine(make=make) -> Machine:
                return make()

            hypothesis.seed(seed * 1_000_003 + round_)(machine)
            run_state_machine_as_test(machine, settings=settings)
            round_ += 1
        self.seconds = time.process_time() - start

    def valid(self, call: Call) -> None:
        """Checks a valid call."""
        if self.done:
            return
        named = call.options.get("algorithm", "auto") != "auto"
        kind = "valid"
        try:
            if not self.checker.agree(call, may_refuse=named):
                kind = "unsupported"
            elif self.torch:
                self._against_torch(call)
        except Disagreement as wrong:
            self._failed(call, "valid", wrong)
        except Exception as error:  # the reference refuses it, or the check is wrong
            self._failed(call, "check", Disagreement(f"{type(error).__name__}: {error}"))
        self._count(call, kind)
        if self.checker.compiled - self._cleared >= KEPT:
            self._cleared = self.checker.compiled
            jax.clear_caches()

    def invalid(self, call: Call, because: str) -> None:
        """Checks a call that is to be refused."""
        if self.done:
            return
        self._count(call, "invalid")
        try:
            refusal(call)
        except Disagreement as wrong:
            self._failed(call, "invalid", Disagreement(f"{wrong} ({because})"))

    def _against_torch(self, call: Call) -> None:
        try:
            if peers.agree(call, self.checker):
                self.counts[call.primitive, "torch"] += 1
        except Disagreement as wrong:
            self.counts[call.primitive, "torch"] += 1
            self._failed(call, "torch", wrong)

    def _count(self, call: Call, kind: str) -> None:
        self.made += 1
        self.counts[call.primitive, kind] += 1
        if self.on_draw:
            self.on_draw(self, call.primitive)

    def _failed(self, call: Call, kind: str, wrong: Disagreement) -> None:
        self.counts[call.primitive, "failures"] += 1
        self.failures.append(Failure(call.primitive, kind, call.line(), str(wrong)))
        if self.on_failure:
            self.on_failure(self.failures[-1])


def _settings(draws_of_each: int) -> hypothesis.settings:
    """A failure is neither shrunk nor kept: it is a line to be pasted, and the run goes on."""
    return hypothesis.settings(
        max_examples=min(MACHINES, 2 + draws_of_each // 40),
        stateful_step_count=min(STEPS, 2 + draws_of_each // 8),
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )


class Machine(RuleBasedStateMachine):
    """Holds the plan of one valid call, and changes it in one place at a time."""

    def __init__(self, session: Session, name: str):
        """Checks calls of `name` for `session`."""
        super().__init__()
        self.session = session
        self.primitive = PRIMITIVES[name]
        self.plan: Plan | None = None

    def _check(self, plan: Plan) -> None:
        """Checks the plan's call, and keeps the plan if the call is valid."""
        call = self.primitive.call(plan)
        if self.primitive.valid(plan):
            self.session.valid(call)
            self.plan = plan
        else:
            self.session.invalid(call, "by the contract's arithmetic")

    def _redrawn(self, data, *names: str) -> Plan:
        """The plan with other values of some fields."""
        choices, plan = _choices(data), dict(self.plan or {})
        for name in names:
            plan[name] = self.primitive.fields[name](choices, plan)
        return plan

    def _own(self, *names: str) -> list[str]:
        return [name for name in names if name in self.primitive.fields]

    @initialize(data=st.data())
    def first(self, data):
        """All options."""
        self._check(self.primitive.plan(_choices(data)))

    @precondition(lambda self: self.plan is None)
    @rule(data=st.data())
    def start_again(self, data):
        """Until the first call is valid."""
        self._check(self.primitive.plan(_choices(data)))

    @precondition(lambda self: self.plan is not None)
    @rule(data=st.data())
    def change_options(self, data):
        """Up to three, of the same primitive."""
        choices = _choices(data)
        fields = [name for name in self.primitive.fields if name not in ("rank", "sizes")]
        names = [choices.one_of(*fields) for _ in range(choices.integer(1, 3))]
        # A wider dtype is one of this dtype.
        also = self._own("preferred") if "dtype" in names else []
        self._check(self._redrawn(data, *names, *also))

    @precondition(lambda self: self.plan is not None)
    @rule(data=st.data())
    def change_the_shape(self, data):
        """And what goes with it."""
        self._check(self._redrawn(data, *self._own("batch", "sizes", "channels", "window")))

    @precondition(lambda self: self.plan is not None)
    @rule(data=st.data())
    def change_the_numbers(self, data):
        """Ties, NaN, infinities, numbers below the normal ones: the same compiled program."""
        choices = _choices(data)
        self.plan = {**(self.plan or {}), "seed": choices.seed()}
        call, kind = self.primitive.call(self.plan), choices.one_of(*self.primitive.kinds)
        if kind not in FINITE and not self.primitive.apart(self.plan):
            kind = "normal"
        changed = {
            name: dataclasses.replace(call.arguments[name], kind=kind)
            for name in self.primitive.special
            if call.arguments[name].kind == "normal"
        }
        self.session.valid(call.changed(**changed))

    @precondition(lambda self: self.plan is not None)
    @rule(data=st.data(), times=st.integers(1, 3))
    def break_one_argument(self, data, times):
        """Which the library refuses, and says why."""
        for _ in range(times):
            plan = self.plan or {}
            name, call = broken(_choices(data), plan, self.primitive.build(plan))
            self.session.invalid(call, f"`{name}` is wrong")


_BELOW: dict[int, st.SearchStrategy[int]] = {}


def _choices(data) -> Choices:
    """Choices that Hypothesis makes."""

    def below(count: int) -> int:
        if count not in _BELOW:
            _BELOW[count] = st.integers(0, count - 1)
        return data.draw(_BELOW[count])

    return Choices(below)
