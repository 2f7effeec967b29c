"""How long it takes until the first training step of LeNet-5 is done, in seconds of CPU.

    python -m experiments.benchmark.start

Each program is a process of its own, from its start on: imports, data, parameters, compiling, one
step. Beside `python -m experiments.lenet` runs the shortest program in plain Flax (plain_lenet.py),
with JAX's compile cache and, as it comes, without. The cache is empty the first time; then follow
rounds of all programs by turns, of which the median counts.
"""

import dataclasses
import statistics
import sys
import tempfile
from pathlib import Path

from experiments.benchmark import alone
from experiments.commands import command
from experiments.commands.command import require
from experiments.commands.phases import phase

# An epoch of 80 steps is one program: the first step ends an 80th of its time after its begin.
OURS = """
from resource import RUSAGE_SELF, getrusage
import jax
from experiments import lenet
from experiments.training.epochs import OnDevice
advance = OnDevice.advance

def seconds():
    used = getrusage(RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

def told(self, state, done, key):
    jax.block_until_ready((state, key))
    begun = seconds()
    jax.block_until_ready(advance(self, state, done, key)[0])
    print(begun + (seconds() - begun) / self.steps, flush=True)
    sys.exit()

OnDevice.advance = told
commands = {"train": (lenet.Train, lenet.train)}
lenet.command.run("lenet", commands, ["--epochs", "1", "--run", sys.argv[1]])
"""
PLAIN = """
from resource import RUSAGE_SELF, getrusage
from pathlib import Path
from experiments.benchmark import plain_lenet
plain_lenet.main(Path("~/.cache/jaxcnn").expanduser())
used = getrusage(RUSAGE_SELF)
print(used.ru_utime + used.ru_stime)
"""
PROGRAMS = {
    "python -m experiments.lenet": (OURS, True),
    "plain Flax": (PLAIN, False),
    "plain Flax, JAX's cache turned on": (PLAIN, True),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures the time to the first training step, ours and plain Flax's."""

    rounds: int = 5
    """Runs of each program after the first."""

    def __post_init__(self):
        require(self.rounds >= 1, "rounds", self.rounds, "must be 1 or more")


def main(options: Options) -> None:
    """Prints a table."""
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    total = (options.rounds + 1) * len(PROGRAMS)
    with (
        tempfile.TemporaryDirectory() as folder,
        phase("programs", f"running {total} programs", total=total) as shown,
    ):
        for count in range(options.rounds + 1):
            for number, (name, (script, cached)) in enumerate(PROGRAMS.items()):
                shown.move(count * len(PROGRAMS) + number, name)
                own = Path(folder, str(number))
                seconds[name].append(_seconds(script, own, cached, count))
    print("CPU seconds to the end of the first training step of LeNet-5\n")
    print("| program | first time | again |\n|---|---|---|")
    for name, (first, *others) in seconds.items():
        print(f"| {name} | {first:.1f} | {statistics.median(others):.1f} |")


def _seconds(script: str, folder: Path, cached: bool, count: int) -> float:
    """What one process took; its cache, if it has one, lies in the folder."""
    environment = {"XDG_CACHE_HOME": str(folder)}
    if cached and script == PLAIN:
        environment["JAX_COMPILATION_CACHE_DIR"] = str(folder)
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.05"
    return alone.seconds(script, str(folder / f"run{count}"), **environment)[0]


if __name__ == "__main__":
    commands = {"measure": (Options, main)}
    name, took = "python -m experiments.benchmark.start", "100 s of CPU"
    sys.exit(command.run(name, commands, cached=False, took=took))
