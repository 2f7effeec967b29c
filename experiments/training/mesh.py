"""How the devices are laid out, and which part of an array each of them holds.

A mesh has two axes. Along "data" the devices hold different images of a batch; along "space" they
hold different rows of the same images. Parameters are held by all of them, whole.
"""

import contextlib
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from experiments.commands.command import UserError
from jaxcnn import sharding

AXES = ("data", "space")


def make_mesh(spec: str = "", *, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Lays out the devices as `spec` says.

    Args:
      spec: "data=4,space=2", with either axis left out for 1; "" puts all devices on "data". It may
        name fewer devices than there are in one process; several processes use all of theirs.
      devices: to choose from; all those of all processes when left out.
    Returns:
      A mesh with the axes "data" and "space". Devices next to each other along "space" are next to
      each other in `devices`, so that rows are exchanged inside a process where possible.
    Raises:
      UserError: the spec cannot be read, or asks for other devices than there are.

    Example:
      >>> from experiments.training.mesh import make_mesh
      >>> dict(make_mesh("data=1").shape)
      {'data': 1, 'space': 1}
    """
    try:
        return sharding.make_mesh(spec, axes=AXES, devices=devices)
    except ValueError as error:
        told = str(error).replace(f"make_mesh: `spec` (={spec!r})", f"--mesh (={spec})")
        raise UserError(told) from None


def split(mesh: Mesh) -> contextlib.AbstractContextManager[None]:
    """Within, functions and modules split images and rows as arrays of batches lie on the mesh."""
    return sharding.split(mesh, batch=AXES[0], rows=AXES[1])


def batch_sharding(mesh: Mesh, rank: int, *, rows: bool = True) -> NamedSharding:
    """Where the parts of an array of a batch lie: images over "data", their rows over "space".

    Args:
      mesh: from `make_mesh`.
      rank: axes of the array. One of 3 or more, (batch, height, ...), is split along both; labels
        (batch,) and logits (batch, classes) along the batch alone.
      rows: whether rows are split; else every device along "space" holds its images whole.
    """
    return NamedSharding(mesh, PartitionSpec(*AXES[: 2 if rows and rank >= 3 else 1]))


def replicated(mesh: Mesh) -> NamedSharding:
    """Where an array lies that every device holds whole, such as a parameter."""
    return NamedSharding(mesh, PartitionSpec())


def batch_share(mesh: Mesh) -> tuple[int, int]:
    """Which share of a batch this process brings: (index, count), as `stream` takes them.

    Processes that hold rows of the same images bring the same images, each of them whole.

    Raises:
      UserError: the mesh gives the processes uneven shares.
    """
    owners = np.array([[device.process_index for device in row] for row in mesh.devices])
    mine = np.flatnonzero((owners == jax.process_index()).any(1))
    start, size = int(mine[0]), len(mine)
    whole = mine[-1] - start + 1 == size and start % size == 0 and len(owners) % size == 0
    if not whole:
        raise UserError(
            f"--mesh (={format_spec(mesh)}) gives process {jax.process_index()} no whole share of a"
            " batch; let the devices of a process be a multiple or a divisor of `space`"
        )
    return start // size, len(owners) // size


def format_spec(mesh: Mesh) -> str:
    """The spec of a mesh, as `make_mesh` reads it."""
    return ",".join(f"{axis}={size}" for axis, size in mesh.shape.items())
