"""Run folders: what a run was told, where it ran, what it measured and what it drew.

config.json         the options that decide the result
inputs.json         what the network takes and tells, see `experiments.training.inputs`
environment.json    versions and device
metrics.jsonl       one JSON object an epoch
checkpoints/        the newest few states and the best one
tensorboard/        the metrics again, and
profile/            a trace for Perfetto, where they were asked for
*.png               pictures
.order              the number of the run among those beside it, in the order they were begun
.lock               held while a program writes here
"""

import contextlib
import errno
import importlib.metadata
import itertools
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import jax

import jaxcnn
from experiments.commands import files, stopping
from experiments.commands.command import UserError

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "orbax-checkpoint", "tensorflow-datasets")
_MOST_CONFIG = 2**20  # bytes
_MOST_METRICS = 2**26  # bytes: some 200,000 epochs
_CREATED = ("environment.json", "config.json", "inputs.json")
_ORDER = ".order"
_MOST_ORDER = 20  # digits
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # of file systems, most of them remote


class Run:
    """A run folder that exists."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self._made: list[Path] | None = None  # by `create`, the innermost first
        if not os.path.isfile(self.folder / "config.json"):
            raise UserError(f"{self.folder} is no run folder: it holds no config.json")
        try:
            files.check_plain(self.folder)
        except (OSError, ValueError) as error:
            raise UserError(
                f"the run folder {self.folder} cannot be used ({error}); a run writes plain files "
                "only, so remove that, or choose another folder"
            ) from None

    @classmethod
    def create(cls, folder: Path, config: dict) -> "Run":
        """Makes the folder, which must be absent or empty, and writes config and environment."""
        made = [each for each in (folder, *folder.parents) if not each.exists()]
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise UserError(
                    f"the run folder {folder} is not empty; go on with --resume {folder}, "
                    "or choose another"
                )
            _write(folder / "environment.json", json.dumps(environment(), indent=2))
            _write(folder / "config.json", json.dumps(config, indent=2))
        run = cls(folder)
        run._made = made
        return run

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    def config(self) -> dict:
        """What `create` was given."""
        path = self.folder / "config.json"
        try:
            config = files.parse(files.read(path, _MOST_CONFIG))
            if not isinstance(config, dict):
                raise ValueError("it holds no options")
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {path} ({error}); choose another run folder") from None
        return config

    def extend(self, epochs: int, after: int) -> None:
        """Notes another number of epochs, and under "extended" what it was until which step."""
        config = self.config()
        before = config.get("extended")
        entry = {"epochs": config["epochs"], "until_step": after}
        config["extended"] = [*(before if isinstance(before, list) else []), entry]
        with writing(self.folder):
            _write(self.folder / "config.json", json.dumps({**config, "epochs": epochs}, indent=2))

    def discard(self) -> None:
        """Removes what `create` made, where nothing was begun in it and nobody else wrote there."""
        files_ = (*_CREATED, ".lock")
        with contextlib.suppress(OSError):
            names = {path.name for path in self.folder.iterdir()}
            if self._made is None or not names <= {*files_, "checkpoints"}:
                return
            if "checkpoints" in names:
                self.checkpoints.rmdir()  # refused where one was saved
            for name in files_:
                (self.folder / name).unlink(missing_ok=True)
            for folder in self._made:
                folder.rmdir()

    def metrics(self) -> list[dict]:
        """The epochs measured so far, oldest first; a last line that was cut short is left out."""
        path = self.folder / "metrics.jsonl"
        try:
            lines = files.read(path, _MOST_METRICS).splitlines(keepends=True)
            return [_measured(files.parse(line)) for line in lines if line.endswith(b"}\n")]
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
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
                except NotImplementedError:
                    pass
                except OSError as error:
                    if error.errno not in _NO_LOCKS:
                        raise
            yield

    def begin(self) -> None:
        """Makes this the newest run: numbered above those beside it, whatever the clock says."""
        with writing(self.folder):
            others = (_order(file.parent) for file in self.folder.parent.glob(f"*/{_ORDER}"))
            _write(self.folder / _ORDER, str(1 + max(others, default=0)))

    def save_picture(self, name: str, figure) -> None:
        """Writes a matplotlib figure as `<name>.png`."""
        with writing(self.folder), _replacing(self.folder / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=150, format="png")


def new_folder(experiment: str, parent: Path | str = "runs") -> Path:
    """`<parent>/<experiment>-<date>-<time>`, with a number behind it where that is taken."""
    name = f"{experiment}-{time.strftime('%Y%m%d-%H%M%S')}"
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(Path(parent, name) for name in names if not list(Path(parent).glob(f"{name}*")))


def newest(experiment: str, parent: Path | str = "runs") -> Path:
    """The run folder of an experiment with checkpoints that a training was begun in last."""
    saved = list(Path(parent).glob(f"{experiment}-*/checkpoints"))
    if not saved:
        raise UserError(
            f"no run of {experiment} in {Path(parent).absolute()}; train first with: "
            f"python -m experiments.{experiment}, or name a run folder with --run"
        )
    # The times are for folders whose number is lost: clocks may jump back.
    return max(saved, key=lambda folder: (_order(folder.parent), folder.stat().st_mtime)).parent


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
    with _replacing(path) as temporary:
        temporary.write_text(text)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file to write that then replaces `path` whole, or goes: none is found half written."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with stopping.undoing(temporary.unlink):
            yield temporary
            temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):  # replaced, or of a disk that allows nothing
            temporary.unlink()


def _order(folder: Path) -> int:
    try:
        return int(files.read(folder / _ORDER, _MOST_ORDER))
    except (OSError, ValueError):
        return 0


def _measured(line: object) -> dict[str, float]:
    """A line of metrics.jsonl: numbers by name, and which epoch they are of."""
    if not isinstance(line, dict) or type(line.get("epoch")) is not int:
        raise ValueError("a line has no number of an epoch")
    for name, value in line.items():
        if type(value) not in (int, float):
            raise ValueError(f"{name[:40]!r} of epoch {line['epoch']} is no number")
    return line
