"""How long the first training step of each network compiles, beside plain Flax, in seconds of CPU.

    python -m experiments.benchmark.compiling
    python -m experiments.benchmark.compiling --networks resnet18 vgg16 --rounds 3

Each program is a process of its own with nothing cached. What counts is tracing, lowering and
compiling a step of gradient descent; neither imports nor parameters do. Plain Flax's network is
ours on Flax's own layers (plain_flax.py), and both are compiled by turns.
"""

from experiments.commands import command
from experiments.commands.command import extra, require, require_known

with extra("experiments"):
    import dataclasses
    import statistics
    import sys
    import time

    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx

    from experiments.benchmark import alone
    from experiments.commands.phases import phase
    from experiments.training.network import Network
    from experiments.training.recipe import Recipe
    from experiments.training.zoo import SEGMENTERS, build

# Network of the zoo -> height and channels of its images; each class of `models` is here.
IMAGES = {
    "alexnet": (64, 3),
    "cifar-resnet20": (32, 3),
    "cifar-speed-net": (32, 3),
    "convnext-tiny": (64, 3),
    "densenet121": (64, 3),
    "dilated-context": (64, 3),
    "efficientnet-b0": (64, 3),
    "googlenet": (64, 3),
    "lenet5": (28, 1),
    "lenet5-classic": (28, 1),
    "mobilenet-v2": (64, 3),
    "pattern-cnn": (32, 3),
    "regnet-x-400mf": (64, 3),
    "regnet-y-400mf": (64, 3),
    "resnet18": (64, 3),
    "resnet50": (64, 3),
    "simple-cnn": (32, 3),
    "squeezenet": (64, 3),
    "unet": (64, 3),
    "vgg16": (64, 3),
}
SCRIPT = """
from experiments.benchmark import compiling
print(compiling.compile_step(*sys.argv[1:]))
"""
CLASSES = 10
_BATCH, _RATE = 8, 0.01
_KINDS = ("ours", "plain")


@dataclasses.dataclass(frozen=True)
class Options:
    """Compiles the first training step of each network, on our layers and on plain Flax's."""

    networks: tuple[str, ...] = tuple(IMAGES)
    """Which."""
    rounds: int = 1
    """Times that each is measured; the median counts."""

    def __post_init__(self):
        require(self.rounds >= 1, "rounds", self.rounds, "must be 1 or more")
        for name in self.networks:
            require_known("networks", name, IMAGES)


def compile_step(name: str, kind: str) -> float:
    """Seconds of CPU that a step of this network takes to be compiled, here and now."""
    size, channels = IMAGES[name]
    shape = (size, size, channels)
    make = build(name, Recipe(), classes=CLASSES, image_shape=shape)
    if kind == "plain":
        from experiments.benchmark.plain_flax import plain

        ours = make

        def named(*, rngs: nnx.Rngs) -> nnx.Module:
            return ours(rngs)

        make = plain(named)
    network = Network(make)

    def step(model, images, labels, key):
        def loss(params):
            logits, stats = network.apply({**model, "params": params}, images, key=key)
            each = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return each.mean(), stats

        (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(model["params"])
        params = jax.tree.map(lambda p, g: p - _RATE * g, model["params"], gradient)
        return {"params": params, "stats": stats}, value

    images = jax.ShapeDtypeStruct((_BATCH, *shape), jnp.float32)
    pixels = shape[:-1] if name in SEGMENTERS else ()
    labels = jax.ShapeDtypeStruct((_BATCH, *pixels), jnp.int32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    begun = time.process_time()
    jax.jit(step).lower(network.shapes, images, labels, key).compile()
    return time.process_time() - begun


def main(options: Options) -> None:
    """Prints a line a network, as they are done."""
    print("| network | ours | plain Flax | ratio |\n|---|---|---|---|", flush=True)
    total = len(options.networks) * options.rounds * len(_KINDS)
    with phase("compile", f"compiling {total} steps", total=total) as shown:
        for number, name in enumerate(options.networks):
            seconds = {kind: [] for kind in _KINDS}
            for count in range(options.rounds * len(_KINDS)):
                kind = _KINDS[count % len(_KINDS)]
                shown.move(number * options.rounds * len(_KINDS) + count, f"{name}, {kind}")
                seconds[kind] += alone.seconds(SCRIPT, name, kind)
            ours, plain = (statistics.median(seconds[kind]) for kind in _KINDS)
            print(f"| {name} | {ours:.1f} | {plain:.1f} | {ours / plain:.2f} |", flush=True)


if __name__ == "__main__":
    name = "python -m experiments.benchmark.compiling"
    sys.exit(
        command.run(name, {"measure": (Options, main)}, cached=False, took="10 minutes of CPU")
    )
