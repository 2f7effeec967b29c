"""What is known of a device that is compiled for: read from a file, without JAX.

A description is a file as those in `devices/`: what the compiler needs to know (for a GPU XLA's own
text, for a TPU names of slices) and the figures that the model needs. To compile for another
device, copy one and change it.
"""

import dataclasses
import importlib.util
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.commands import files
from experiments.commands.command import UserError, install

FOLDER = Path(__file__).parent / "devices"
_MOST_BYTES = 2**16

# What a compiler without its device needs, before JAX is imported: on a machine that has no GPU
# its plugin checks for one, and two programs may not hold libtpu at once unless told so.
_ENVIRONMENT = {
    "cuda": {
        "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1", "JAX_PLATFORMS": "", "CUDA_VISIBLE_DEVICES": "-1",
        "XLA_FLAGS": "",
    },
    "tpu": {
        "TPU_SKIP_MDS_QUERY": "1", "JAX_PLATFORMS": "cpu", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "XLA_FLAGS": "",
    },
}  # fmt: skip
_WHEELS = {
    "cuda": {"jax_plugins.xla_cuda13": "jax-cuda13-pjrt", "jax_cuda13_plugin": "jax-cuda13-plugin"},
    "tpu": {"libtpu": "libtpu"},
}


@dataclasses.dataclass(frozen=True)
class Description:
    """A device.

    Attributes:
      name: as on the command line.
      title: as a person would call it.
      platform: "cuda" or "tpu".
      memory: bytes.
      bandwidth: of its large memory, bytes a second.
      peak: operations a second by dtype, "bf16", "tf32", "f32".
      loads: values a second that windows and slices can load; None if that is not modelled.
      clock: cycles a second, where the compiler estimates cycles.
      interconnect: bytes a second to the devices of its node, one way.
      network: bytes a second to those of another node.
      devices_a_node: how many.
      target: XLA's text of a GPU.
      slices: of TPUs, by number of devices.
    """

    name: str
    title: str
    platform: str
    memory: int
    bandwidth: float
    peak: Mapping[str, float]
    loads: float | None = None
    clock: float | None = None
    interconnect: float | None = None
    network: float | None = None
    devices_a_node: int = 1
    target: str = ""
    slices: Mapping[int, str] = dataclasses.field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that a process must have before it imports JAX."""
        return dict(_ENVIRONMENT[self.platform])

    @property
    def missing(self) -> str:
        """What must be installed, in one line; empty if all is there."""
        absent = [wheel for module, wheel in _WHEELS[self.platform].items() if not _there(module)]
        if not absent:
            return ""
        return (
            f"to compile for {self.title} without one, {' and '.join(absent)} must be installed: "
            f"{install('compile')}"
        )

    def topology(self, count: int) -> str:
        """So many GPUs as XLA lays them out: whole nodes, or a part of one."""
        each = self.devices_a_node if count % self.devices_a_node == 0 else 1
        each = count if count < self.devices_a_node else each
        return f"1x{count // each}x{each}"

    @property
    def counts(self) -> tuple[int, ...]:
        """Numbers of devices that it comes in; empty if any will do."""
        return tuple(sorted(self.slices))


def names() -> list[str]:
    """Of the devices that are described here."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Description:
    """Reads a description: one of `names`, or a file.

    Raises:
      UserError: there is none, or it does not say what it must.
    """
    path = FOLDER / f"{name}.toml" if name in names() else Path(name)
    if path.suffix != ".toml" or not path.exists():
        raise UserError(
            f"there is no device {name!r} to compile for; name one of {', '.join(names())}, or a "
            f".toml file as those in {FOLDER}"
        )
    try:
        given = tomllib.loads(files.read(path, _MOST_BYTES).decode())
        return _description(path.stem, given)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} describes no device ({error}); compare it with {FOLDER}") from None


def _description(name: str, given: dict[str, Any]) -> Description:
    target = given.pop("target", {}).get("text", "")
    slices = {int(count): text for count, text in given.pop("slices", {}).items()}
    found = Description(name=name, target=target, slices=slices, **given)
    if found.platform not in _ENVIRONMENT:
        raise ValueError(f"platform {found.platform!r} is neither cuda nor tpu")
    if not (found.target if found.platform == "cuda" else found.slices):
        raise ValueError("it has neither target.text, of a GPU, nor slices, of TPUs")
    return found


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
