"""How long each network takes to be constructed, beside plain Flax, in seconds of CPU.

    python -m experiments.benchmark.building
    python -m experiments.benchmark.building --networks resnet18 vgg16 --rounds 3

Each program is a process of its own, which constructs a network, with its layers' usual number of
channels, from one seed and from another; JAX has started by then. Plain Flax's network is the same,
its parameters drawn by Flax's own initialisers.
"""

from experiments.commands import command
from experiments.commands.command import extra

with extra("experiments"):
    import dataclasses
    import statistics
    import sys
    import time

    import jax
    from flax import nnx

    from experiments.benchmark import alone, compiling
    from experiments.commands.phases import phase
    from experiments.training.recipe import Recipe
    from experiments.training.zoo import build

SCRIPT = """
from experiments.benchmark import building
print(*building.construct(*sys.argv[1:]))
"""
KINDS = ("ours", "plain")


@dataclasses.dataclass(frozen=True)
class Options(compiling.Options):
    """Constructs each network, with our initialisers and with Flax's."""


def construct(name: str, kind: str) -> tuple[float, float]:
    """Seconds of CPU that a network takes the first time and again, here and now."""
    size, channels = compiling.IMAGES[name]
    make = build(name, Recipe(), classes=compiling.CLASSES, image_shape=(size, size, channels))
    jax.block_until_ready(jax.random.key(0))

    def once(seed: int) -> float:
        key = jax.random.key(seed)
        if kind == "plain":  # of a chosen device, for which Flax's own initialisers draw
            key = jax.device_put(key, jax.devices()[0])
        begun = time.process_time()
        jax.block_until_ready(nnx.state(make(nnx.Rngs(key))))
        return time.process_time() - begun

    return once(0), once(1)


def main(options: Options) -> None:
    """Prints a line a network, as they are done."""
    print("| network | ours | again | plain Flax | again |\n|---|---|---|---|---|", flush=True)
    total = len(options.networks) * options.rounds * len(KINDS)
    with phase("build", f"constructing networks in {total} programs", total=total) as shown:
        for number, name in enumerate(options.networks):
            seconds: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
            for count in range(options.rounds * len(KINDS)):
                kind = KINDS[count % len(KINDS)]
                shown.move(number * options.rounds * len(KINDS) + count, f"{name}, {kind}")
                seconds[kind].append(alone.seconds(SCRIPT, name, kind))
            figures = []
            for kind in KINDS:
                first, again = map(statistics.median, zip(*seconds[kind], strict=True))
                figures += [f"{first:.1f}", f"{again:.2f}"]
            print(f"| {name} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    name = "python -m experiments.benchmark.building"
    sys.exit(command.run(name, {"measure": (Options, main)}, cached=False, took="5 minutes of CPU"))
