"""What it costs LeNet-5's training to look at every step for NaN and infinity.

    taskset -c 1 python -m experiments.finite_cost

Epochs with the check (`--nonfinite stop`, the default) and without it (`ignore`) alternate, in an
order drawn anew; the CPU time of each is compared with that of its neighbour. One core, so that no
thread waits busily for another.

Result (a shared core of an AMD EPYC, Python 3.11, JAX 0.10.2): 0.99 times the CPU time without the
check, half of 20 pairs from 0.98 to 1.00; 1.01 in a measurement before. That is the noise.
"""

from experiments.commands import command, output
from experiments.commands.command import extra, require

with extra("experiments"):
    import dataclasses
    import sys
    import time
    from pathlib import Path

    import jax
    import numpy as np

    from experiments import lenet
    from experiments.commands.phases import phase
    from experiments.data import DATA_DIR, load
    from experiments.training.programs import Programs


@dataclasses.dataclass(frozen=True)
class Options:
    """Compares the time of epochs with and without the check."""

    epochs: int = 20
    """Epochs of each."""
    seed: int = 0
    """Of their order."""
    data_dir: Path = DATA_DIR
    """Folder of the data sets."""

    def __post_init__(self):
        require(self.epochs >= 1, "epochs", self.epochs, "must be 1 or more")


def main(options: Options) -> None:
    """Prints the ratio of the times, from pair to pair."""
    with phase("data", "reading mnist5k"):
        data = load("mnist5k", data_dir=options.data_dir)
    advances, times = {}, {"stop": [], "ignore": []}
    for nonfinite in times:
        recipe = dataclasses.replace(lenet.RECIPE, nonfinite=nonfinite)
        programs = Programs(lenet.network(), data, recipe)
        programs.compile()
        advances[nonfinite] = programs.batches.advance, programs.initial_state(0), programs.key(0)
    order = np.random.default_rng(options.seed)
    with phase("training", "training in pairs", total=options.epochs) as shown:
        for pair in range(options.epochs):
            for nonfinite in order.permutation(list(times)):
                advance, state, key = advances[nonfinite]
                start = time.process_time()
                jax.block_until_ready(advance(state, 0, key))
                times[nonfinite].append(time.process_time() - start)
            shown.move(pair + 1, f"pair {pair + 1} of {options.epochs}")
    ratios = np.divide(times["stop"], times["ignore"])
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    output.say(
        f"CPU time of an epoch: {np.median(times['ignore']):.3f} s without the check; with it "
        f"{middle:.3f} times that, half of {options.epochs} pairs from {low:.3f} to {high:.3f}"
    )


if __name__ == "__main__":
    commands = {"compare": (Options, main)}
    sys.exit(
        command.run("python -m experiments.finite_cost", commands, took="1.0 s of CPU an epoch")
    )
