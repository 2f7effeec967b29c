"""Asks a device for everything within some minutes, and keeps what it told."""

import importlib.util
import sys

from experiments.commands import command
from experiments.commands.command import extra, fail, require

if lacking := [name for name in ("tyro", "rich") if importlib.util.find_spec(name) is None]:
    raise fail(
        f"not installed: {', '.join(lacking)}; with a network: {command.install('experiments')}, "
        "without: carry the wheels of tyro, docstring-parser and typeguard, see "
        "experiments/README.md"
    )

with extra("experiments"):
    import dataclasses
    import os
    from pathlib import Path

    from experiments.commands import stopping
    from experiments.commands.phases import phase

    # One program at a time takes the memory that it needs: several use the device.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

PARTS = ("exact", "epochs", "speed")
"""In the order in which they run."""

PLATFORMS = {"gpu": "cuda,cpu", "tpu": "tpu,cpu"}  # where the reference lacks something: a CPU


@dataclasses.dataclass(frozen=True)
class Options:
    """Holds every primitive against the reference on this device, and measures the library."""

    minutes: float = 8.0
    """For all of it; what does not fit is told."""
    parts: str = "exact,epochs,speed"
    """Any of these, with commas between."""
    platform: str = ""
    """Where to compute, cpu, gpu or tpu; the best that there is when left out."""
    file: Path = Path("device.json")
    """Of the results, written anew after every step."""
    case: str = ""
    """Of `exact`: a primitive's name, or any part of "primitive: case"; empty for all."""
    filter: str = ""
    """Of `speed`: any part of "family: row", several with commas between; empty for all."""
    dtypes: str = ""
    """Of `speed`: as the benchmark takes them; bfloat16,tf32 on a GPU when left out."""
    megabytes: float = 128.0
    """Of `speed`: the size that batches are repeated to, so that they fill the device; 0: never."""
    images: int = 0
    """Of `epochs`: train on so many; 0 for as many as there are."""
    model: str = ""
    """Device whose figures the model takes, as in `experiments/compiled_for/devices`, or none;
    the device itself when left out, where it is known."""
    torch_python: Path | None = None
    """An interpreter that has PyTorch; this one when left out."""
    workers: int = dataclasses.field(default_factory=lambda: max(1, (os.cpu_count() or 1) * 3 // 4))
    """Processes that compare or compile at one time."""

    def __post_init__(self):
        known = f"must be names out of: {', '.join(PARTS)}, with commas between"
        require(self.minutes > 0, "minutes", self.minutes, "must be above 0")
        require(self.workers >= 1, "workers", self.workers, "must be at least 1")
        require(set(self.chosen) <= set(PARTS), "parts", self.parts, known)

    def begins(self) -> tuple[str, str]:
        """What the first line says."""
        minutes = f"{self.minutes:g} minute{'s' * (self.minutes != 1)}"
        what = "Holds every primitive against the reference on this device, measures the library"
        return f"{what}, all within {minutes}", ""

    @property
    def chosen(self) -> list[str]:
        """The parts, in the order in which they run."""
        given = [name.strip() for name in self.parts.split(",") if name.strip()]
        return sorted(given, key=lambda name: [*PARTS, name].index(name))


def main(options: Options) -> int:
    """Runs the parts; returns 1 if anything is not as it should be."""
    command.reserve(options.file)
    with stopping.temporary_folder() as folder:
        if options.platform:
            os.environ["JAX_PLATFORMS"] = PLATFORMS.get(options.platform, options.platform)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "cache")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
        return _run(options, folder)


def _run(options: Options, folder: Path) -> int:
    with phase("import", "importing JAX", brief=True):
        from experiments.device import run  # which reads the variables

    return run.run(options, folder)


if __name__ == "__main__":
    commands = {"run": (Options, main)}
    sys.exit(command.run("python -m experiments.device", commands, cached=False))
