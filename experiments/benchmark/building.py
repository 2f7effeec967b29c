"""How long each network takes to be constructed, beside plain Flax, in seconds of CPU.

    python -m experiments.benchmark.building
    python -m experiments.benchmark.building --networks resnet18 vgg16 --rounds 3

Each program is a process of its own, which constructs a network, with its layers' usual number of
channels, from one seed and from another; JAX has started by then. Plain Flax's network is the same,
its parameters drawn by Flax's own initialisers. Nothing is drawn in the last column, which is what
Flax's modules cost by themselves.
"""

from experiments.commands import command
from experiments.commands.command import extra, require, require_known

with extra("experiments"):
    import contextlib
    import dataclasses
    import math
    import statistics
    import sys
    import time
    from typing import Any
    from unittest import mock

    import jax
    import jax.numpy as jnp
    import numpy as np
    from flax import nnx

    from experiments.benchmark import alone
    from experiments.benchmark.compiling import CLASSES, IMAGES
    from experiments.commands.phases import phase
    from experiments.training.recipe import Recipe
    from experiments.training.zoo import build
    from jaxcnn._modules import initial

SCRIPT = """
from experiments.benchmark import building
print(*building.construct(*sys.argv[1:]))
"""
KINDS = ("ours", "plain", "nothing")
COLUMNS = (("ours", 0), ("ours", 1), ("plain", 0), ("plain", 1), ("nothing", 1))  # 1 is again


@dataclasses.dataclass(frozen=True)
class Options:
    """Constructs each network, with our initialisers and with Flax's."""

    networks: tuple[str, ...] = tuple(IMAGES)
    """Which."""
    rounds: int = 1
    """Times that each is constructed; the median counts."""

    def __post_init__(self):
        require(self.rounds >= 1, "rounds", self.rounds, "must be 1 or more")
        for name in self.networks:
            require_known("networks", name, IMAGES)


def construct(name: str, kind: str) -> tuple[float, float]:
    """Seconds of CPU that a network takes the first time and again, here and now."""
    size, channels = IMAGES[name]
    make = build(name, Recipe(), classes=CLASSES, image_shape=(size, size, channels))
    jax.block_until_ready(jax.random.key(0))

    def once(seed: int) -> float:
        begun = time.process_time()
        jax.block_until_ready(nnx.state(make(nnx.Rngs(seed))))
        return time.process_time() - begun

    with _drawn_by(kind):
        return once(0), once(1)


def _drawn_by(kind: str) -> contextlib.AbstractContextManager:
    """Initialisers of this kind in place of ours."""
    changed = contextlib.ExitStack()
    if kind == "plain":  # what they do where keys are unusual
        changed.enter_context(mock.patch.object(initial, "_words", lambda *_: None))
        changed.enter_context(mock.patch.object(initial, "filled", jnp.full))
    if kind == "nothing":
        changed.enter_context(mock.patch.object(initial, "_drawn", _left_empty))
    return changed


def _left_empty(part: Any, words: Any, shape: tuple[int, ...], kind: Any, *_: Any) -> np.ndarray:
    return initial.aligned(math.prod(shape), np.dtype(kind)).reshape(shape)


def main(options: Options) -> None:
    """Prints a line a network, as they are done."""
    print(
        "| network | ours | again | plain Flax | again | nothing drawn |\n|---|---|---|---|---|---|"
    )
    total = len(options.networks) * options.rounds * len(KINDS)
    with phase("build", f"constructing networks in {total} programs", total=total) as shown:
        for number, name in enumerate(options.networks):
            seconds: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
            for count in range(options.rounds * len(KINDS)):
                kind = KINDS[count % len(KINDS)]
                shown.move(number * options.rounds * len(KINDS) + count, f"{name}, {kind}")
                seconds[kind].append(alone.seconds(SCRIPT, name, kind))
            figures = []
            for kind, which in COLUMNS:
                middle = statistics.median(both[which] for both in seconds[kind])
                figures.append(f"{middle:.{1 + which}f}")
            print(f"| {name} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    name = "python -m experiments.benchmark.building"
    sys.exit(command.run(name, {"measure": (Options, main)}, cached=False, took="5 minutes of CPU"))
