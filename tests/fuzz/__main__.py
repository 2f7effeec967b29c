"""Draws random calls of every primitive, checks them, and prints what was found."""

from experiments.commands import command
from experiments.commands.command import extra, nearest, require

with extra("test"):
    import hypothesis  # noqa: F401

with extra("experiments"):
    import sys
    from dataclasses import dataclass
    from pathlib import Path
    from typing import Literal

    import jax

    from experiments.commands.phases import phase
    from jaxcnn.testing import as_on
    from tests.fuzz import peers, report
    from tests.fuzz.machine import Session
    from tests.fuzz.poison import allocator
    from tests.fuzz.poison.repeated import CALLS
    from tests.fuzz.poison.run import Run
    from tests.fuzz.primitives import PRIMITIVES


@dataclass(frozen=True)
class Options:
    """Holds random calls against the reference, PyTorch and the contract's errors."""

    draws: int = 1000
    """Calls to check, with as many as there are primitives some of each; 20,000 is the nightly
    mode."""
    seed: int = 0
    """The same seed draws the same calls."""
    primitive: str = ""
    """Any part of a primitive's name; empty for all."""
    torch: bool = peers.INSTALLED
    """Checks against PyTorch too, for what it has; as a rule where it is installed."""
    as_on: Literal["cpu", "cuda", "rocm", "tpu"] | None = None
    """Takes the algorithms of that platform, on the device that there is."""
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
    known = sorted(PRIMITIVES)
    names = [name for name in known if primitive in name]
    rule = f"is in no name{nearest(primitive, known)}; it must be part of one of {', '.join(known)}"
    require(bool(names), "primitive", primitive, rule)
    return names


def poison(options: Poison) -> int:
    """Runs what `options` say in poisoned memory; returns 1 if a bit or a value differs."""
    require(options.draws >= 0, "draws", options.draws, "must be at least 0")
    require(options.seed >= 0, "seed", options.seed, "must be at least 0")
    require(options.calls >= 2, "calls", options.calls, "must be at least 2")
    chosen(options.primitive)
    if not allocator.prepare():
        print("not the GNU C library: poison lies around arguments alone", file=sys.stderr)

    def failed(message: str) -> None:
        print(message, file=sys.stderr, flush=True)

    with phase("programs", "running programs in poisoned memory") as shown:

        def begun(name: str) -> None:
            count, failures = f"{run.made:,} programs", len(run.failures)
            shown.move(run.made, f"{count}, {failures} failures; {name}", f"{count}; {name}", count)

        run = Run(options.calls, failed, begun)
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

    def failed(failure) -> None:
        print(report.describe(failure), file=sys.stderr, flush=True)

    with (
        jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), as_on(options.as_on),
        phase("draws", f"drawing {options.draws:,} calls", total=options.draws) as shown,
    ):  # fmt: skip

        def drawn(session: Session, name: str) -> None:
            count, failures = f"{session.made:,} of {session.draws:,} draws", len(session.failures)
            forms = f"{count}, {failures} failures; {name}", f"{count}; {name}", count
            shown.move(session.made, *forms)

        session = Session(
            options.draws, names=names, torch=options.torch, on_draw=drawn, on_failure=failed
        )
        session.run(options.seed)
    report.show(session, options.seed)
    if options.json:
        report.write_json(session, options.seed, options.json)
    return 1 if session.failures else 0


if __name__ == "__main__":
    commands = {"draw": (Options, main), "poison": (Poison, poison)}
    took = {"draw": "75 s of CPU a thousand draws", "poison": "8 minutes of CPU with --draws 350"}
    sys.exit(command.run("python -m tests.fuzz", commands, took=took))
