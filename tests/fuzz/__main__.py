"""Draws random calls of every primitive, checks them, and prints what was found."""

from experiments.commands import command
from experiments.commands.command import extra, require

with extra("test"):
    import hypothesis  # noqa: F401

with extra("experiments"):
    import sys
    from dataclasses import dataclass
    from pathlib import Path
    from typing import Literal

    import jax

    from tests.fuzz import peers, report
    from tests.fuzz.machine import Session
    from tests.fuzz.poison import memory
    from tests.fuzz.poison.repeated import CALLS
    from tests.fuzz.poison.run import Run
    from tests.fuzz.primitives import PRIMITIVES

EVERY = 500  # draws from one line of progress to the next


@dataclass(frozen=True)
class Options:
    """Holds random calls against the reference, PyTorch and the contract's errors."""

    draws: int = 1000
    """Calls to check; 20,000 is the nightly mode."""
    seed: int = 0
    """The same seed draws the same calls."""
    primitive: str = ""
    """Any part of a primitive's name; empty for all."""
    torch: bool = peers.INSTALLED
    """Checks against PyTorch too, for what it has; as a rule where it is installed."""
    json: Path | None = None
    """File for all counts and failures."""


@dataclass(frozen=True)
class Poison:
    """Runs programs again and again in poisoned memory: the same bits, the reference's values."""

    rows: Literal["all", "one", "none"] = "all"
    """Of the gradient tables, by every algorithm: all, to second order, or one for each algorithm,
    its value and gradient alone."""
    draws: int = 1000
    """Random calls besides, of the geometries that are likeliest to leave their arrays."""
    seed: int = 0
    """The same seed draws the same calls."""
    primitive: str = ""
    """Any part of a primitive's name; empty for all."""
    calls: int = CALLS
    """How often each program runs."""


def chosen(primitive: str) -> list[str]:
    """The primitives that an option names a part of."""
    names = [name for name in sorted(PRIMITIVES) if primitive in name]
    rule = f"must be part of one of {', '.join(sorted(PRIMITIVES))}"
    require(bool(names), "primitive", primitive, rule)
    return names


def poison(options: Poison) -> int:
    """Runs what `options` say in poisoned memory; returns 1 if a bit or a value differs."""
    require(options.draws >= 0, "draws", options.draws, "must be at least 0")
    require(options.seed >= 0, "seed", options.seed, "must be at least 0")
    require(options.calls >= 2, "calls", options.calls, "must be at least 2")
    chosen(options.primitive)
    if not memory.prepare():
        print("not the GNU C library: poison lies around arguments alone", file=sys.stderr)
    run = Run(options.calls, lambda message: print(message, file=sys.stderr, flush=True))
    run.all(options.rows, options.draws, options.seed, options.primitive)
    report.show_poison(run, options.seed)
    return 1 if run.failures else 0


def main(options: Options) -> int:
    """Draws as many calls as `options` say; returns 1 if one of them fails."""
    require(options.draws >= 1, "draws", options.draws, "must be at least 1")
    require(options.seed >= 0, "seed", options.seed, "must be at least 0")
    names = chosen(options.primitive)
    require(
        peers.INSTALLED or not options.torch, "torch", True,
        "needs PyTorch, which is not installed; leave it out",
    )  # fmt: skip
    if options.json:
        command.reserve(options.json)

    def progress(session: Session) -> None:
        if session.made % EVERY == 0:
            failures = len(session.failures)
            print(f"{session.made:,} draws, {failures} failures", file=sys.stderr, flush=True)

    def failed(failure) -> None:
        print(report.describe(failure), file=sys.stderr, flush=True)

    session = Session(
        options.draws, names=names, torch=options.torch, on_draw=progress, on_failure=failed
    )
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        session.run(options.seed)
    report.show(session, options.seed)
    if options.json:
        report.write_json(session, options.seed, options.json)
    return 1 if session.failures else 0


if __name__ == "__main__":
    sys.exit(
        command.run("python -m tests.fuzz", {"draw": (Options, main), "poison": (Poison, poison)})
    )
