"""What a call takes outside `jit` on arrays so small that computing is next to nothing.

    python -m experiments.benchmark.calls

Ours and lax's, or ours and Flax's layer, by turns; each call waits for none before it but the last
of a sample, as in a program of a user.
"""

import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.benchmark import plain_lax, timing
from experiments.commands import command
from experiments.commands.command import require
from experiments.commands.phases import phase
from jaxcnn import functional, nn

SHAPE = (1, 8, 8, 4)
KERNEL = (3, 3, 4, 4)


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures calls outside `jit`, ours and their peers'."""

    repeats: int = 15
    """Rounds of all calls by turns, of which the median counts."""

    def __post_init__(self):
        require(self.repeats >= 1, "repeats", self.repeats, "must be 1 or more")


def pairs() -> dict[str, tuple[Callable[[], jax.Array], Callable[[], jax.Array]]]:
    """By name, the same call of ours and of the peer."""
    inputs, kernel = jnp.ones(SHAPE), jnp.ones(KERNEL)
    convolution: dict[str, Any] = dict(strides=(1, 1), padding=(1, 1))
    convolution |= dict(kernel_dilation=(1, 1), feature_group_count=1)
    transposed: dict[str, Any] = dict(strides=(2, 2), padding=(1, 1), output_padding=(1, 1))
    pool: dict[str, Any] = dict(window_shape=(2, 2), strides=(2, 2), padding=(0, 0))
    pool |= dict(window_dilation=(1, 1))
    layers = [kind(4, 4, (3, 3), rngs=nnx.Rngs(0)) for kind in (nn.Conv, nnx.Conv)]
    call, flax = (functools.partial(layer, inputs) for layer in layers)
    return {
        "`conv`, lax's": (
            functools.partial(functional.conv, inputs, kernel, padding=1),
            functools.partial(plain_lax.conv, inputs, kernel, **convolution),
        ),
        "`conv_transpose`, lax's": (
            functools.partial(
                functional.conv_transpose, inputs, kernel, strides=2, padding=1, output_padding=1
            ),
            functools.partial(
                plain_lax.conv_transpose, inputs, kernel, **transposed, feature_group_count=1
            ),
        ),
        "`max_pool`, lax's": (
            functools.partial(functional.max_pool, inputs, (2, 2), 2),
            functools.partial(plain_lax.max_pool, inputs, **pool),
        ),
        "`nn.Conv`, Flax's": (call, flax),
    }


def main(options: Options) -> None:
    """Prints a table."""
    plan = timing.Plan(repeats=options.repeats, sample_seconds=0.02)
    with phase("build", "making the calls", brief=True):
        calls = pairs()
    print("microseconds a call outside jit, of inputs " + str(SHAPE) + "\n")
    print("| call and its peer | ours | the peer's | ratio |\n|---|---|---|---|")
    with phase("calls", "timing calls", total=len(calls)) as shown:
        for number, (name, both) in enumerate(calls.items()):
            shown.move(number, name)
            samples = dict(zip("ab", map(sampler, both), strict=True))
            print(row(name, timing.interleaved(samples, plan)))


def row(name: str, found: Mapping[str, timing.Timing]) -> str:
    """A line of the table."""
    ours, peer = (found[which].median * 1e6 for which in "ab")
    return f"| {name} | {ours:.0f} | {peer:.0f} | {ours / peer:.2f} x |"


def sampler(call: Callable[[], jax.Array]) -> Callable[[int], float]:
    """A number of calls, one after the other, to seconds a call; the call is compiled already."""
    call().block_until_ready()

    def sample(count: int) -> float:
        begun = time.perf_counter()
        for _ in range(count - 1):
            call()
        call().block_until_ready()
        return (time.perf_counter() - begun) / count

    return sample


if __name__ == "__main__":
    commands = {"measure": (Options, main)}
    name, took = "python -m experiments.benchmark.calls", "15 s of CPU"
    sys.exit(command.run(name, commands, cached=False, took=took))
