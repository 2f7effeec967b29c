"""Run folders: what a run was told, where it ran, what it measured and what it drew.

config.json         the options that decide the result
environment.json    versions and device
metrics.jsonl       one JSON object an epoch
checkpoints/        the newest few states and the best one
tensorboard/        the metrics again, and
profile/            a trace for Perfetto, where they were asked for
*.png               pictures
.lock               held while a program writes here
"""

import contextlib
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import jax

import jaxcnn
from experiments.command import UserError

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "orbax-checkpoint", "tensorflow-datasets")


class Run:
    """A run folder that exists."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        if not (self.folder / "config.json").is_file():
            raise UserError(f"{self.folder} is no run folder: it holds no config.json")

    @classmethod
    def create(cls, folder: Path, config: dict) -> "Run":
        """Makes the folder, which must be absent or empty, and writes config and environment."""
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise UserError(
                    f"the run folder {folder} is not empty; go on with --resume {folder}, "
                    "or choose another"
                )
            _write(folder / "environment.json", json.dumps(environment(), indent=2))
            _write(folder / "config.json", json.dumps(config, indent=2))
        return cls(folder)

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    def config(self) -> dict:
        """What `create` was given."""
        return _parse(self.folder / "config.json")

    def metrics(self) -> list[dict]:
        """The epochs measured so far, oldest first; a last line that was cut short is left out."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        try:
            return [json.loads(line) for line in lines if line.endswith("}\n")]
        except ValueError as error:
            raise UserError(f"cannot read {path} ({error}); correct or delete it") from None

    def add_metrics(self, epoch: int, **values: float) -> None:
        """Adds the line of one epoch, and drops lines of that and later epochs if there are any."""
        earlier = [line for line in self.metrics() if line["epoch"] < epoch]
        lines = [json.dumps(line) + "\n" for line in (*earlier, {"epoch": epoch, **values})]
        with writing(self.folder):
            _write(self.folder / "metrics.jsonl", "".join(lines))

    def save_json(self, name: str, value: dict) -> None:
        """Writes `<name>.json`."""
        with writing(self.folder):
            _write(self.folder / f"{name}.json", json.dumps(value, indent=2))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other programs from writing here; one that ends, in whatever way, lets go of it.

        Raises:
          UserError: another program holds the folder.
        """
        lock = filelock.FileLock(self.folder / ".lock", blocking=False)
        with contextlib.ExitStack() as held:
            with writing(self.folder):
                try:
                    held.enter_context(lock)
                except filelock.Timeout:
                    raise UserError(
                        f"the run folder {self.folder} is in use by another program; wait for its "
                        "end, or choose another folder with --run"
                    ) from None
                except NotImplementedError:  # a file system without locks
                    pass
            yield

    def save_picture(self, name: str, figure) -> None:
        """Writes a matplotlib figure as `<name>.png`."""
        with writing(self.folder):
            figure.savefig(self.folder / f"{name}.png", dpi=150)


def new_folder(experiment: str, parent: Path | str = "runs") -> Path:
    """`<parent>/<experiment>-<date>-<time>`."""
    return Path(parent, f"{experiment}-{time.strftime('%Y%m%d-%H%M%S')}")


def newest(experiment: str, parent: Path | str = "runs") -> Path:
    """The run folder of an experiment in which a checkpoint was saved last."""
    saved = list(Path(parent).glob(f"{experiment}-*/checkpoints"))
    if not saved:
        raise UserError(
            f"no run of {experiment} in {Path(parent).absolute()}; train first with: "
            f"python -m experiments.{experiment}, or name a run folder with --run"
        )
    return max(saved, key=lambda folder: folder.stat().st_mtime).parent


def environment() -> dict:
    """Versions and device, for whoever wants to repeat the run."""
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        "jaxcnn": jaxcnn.__version__,
        **{package: importlib.metadata.version(package) for package in _PACKAGES},
        "device": device.device_kind,
        "platform": device.platform,
        "devices": jax.device_count(),
        "cpu_cores": available_cores(),
        "system": platform.platform(),
    }


def available_cores() -> int:
    """CPU cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what the file system refuses (no permission, disk full) into one message."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to the run folder {folder} ({error.strerror or error}); "
            "choose another with --run, or make room; what was saved before is kept"
        ) from None


def _write(path: Path, text: str) -> None:
    """Replaces the file as a whole, so that it is never found half written."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    temporary.replace(path)


def _parse(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}); choose another run folder") from None
