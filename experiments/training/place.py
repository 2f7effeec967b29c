"""Arrays of this process becoming parts of arrays of all processes."""

from typing import TypeVar

import jax
from jax.sharding import Mesh

from experiments.commands.command import UserError
from experiments.training.mesh import batch_sharding, batch_share, format_spec, replicated

Tree = TypeVar("Tree")


def place_batch(mesh: Mesh, batch: Tree, *, rows: bool = True) -> Tree:
    """Spreads a batch over the mesh.

    Args:
      mesh: from `make_mesh`.
      batch: arrays (or a tree of them) of this process: its `batch_share` of the batch, whole
        images.
      rows: as in `batch_sharding`.
    Returns:
      The batch of all processes together, as `batch_sharding` says.
    Raises:
      UserError: images or rows do not divide among the devices.
    """
    _, count = batch_share(mesh)

    def place(array):
        shape = (len(array) * count, *array.shape[1:])
        check_shape(mesh, shape, rows=rows)
        sharding = batch_sharding(mesh, array.ndim, rows=rows)
        return jax.make_array_from_process_local_data(sharding, array, shape)

    return jax.tree.map(place, batch)


def check_shape(mesh: Mesh, shape: tuple[int, ...], *, rows: bool = True) -> None:
    """Refuses a batch, labels or images, whose parts would be of different sizes."""
    names = {"data": "images in a batch", "space": "rows of an image"}
    spec = batch_sharding(mesh, len(shape), rows=rows).spec
    for size, axis in zip(shape, spec, strict=False):
        parts = mesh.shape[axis]
        if size % parts:
            raise UserError(
                f"--mesh (={format_spec(mesh)}) splits the {size} {names[axis]} into {parts} parts,"
                f" which must be equal; take a multiple of {parts}, or another mesh"
            )


def constrain(mesh: Mesh, batch: Tree, *, rows: bool = True) -> Tree:
    """Inside jit: keeps a batch spread as `batch_sharding` says, whatever it was made from.

    What moves images by numbers drawn at random needs them whole (`rows=False`): bytes, they are
    small beside what a network makes of them.
    """

    def keep(array):
        check_shape(mesh, array.shape, rows=rows)
        return jax.lax.with_sharding_constraint(array, batch_sharding(mesh, array.ndim, rows=rows))

    return jax.tree.map(keep, batch)


def replicate(mesh: Mesh, tree: Tree) -> Tree:
    """Puts arrays, the same in every process, whole onto every device."""
    return jax.device_put(tree, replicated(mesh))
