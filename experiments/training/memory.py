"""Running out of memory, explained: what takes the most of it, and which options lower that."""

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from experiments.commands.command import UserError
from experiments.data.split import first_line
from jaxcnn import analysis

if TYPE_CHECKING:
    from experiments.training.programs import Programs

# What XLA, its allocators and the C++ library say.
_SIGNS = ("RESOURCE_EXHAUSTED", "OUT OF MEMORY", "BAD_ALLOC", "FAILED TO ALLOCATE")
_TOLD = 4  # buffers that are named


@contextlib.contextmanager
def explained(programs: "Programs", doing: str) -> Iterator[None]:
    """Turns running out of memory into a message with the largest buffers and what to lower.

    Args:
      programs: what is computed.
      doing: in words, such as "training".
    """
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        text = first_line(error)
        if not (isinstance(error, MemoryError) or any(sign in text.upper() for sign in _SIGNS)):
            raise
        held = buffers(programs)
        listed = ", ".join(f"{name} {_size(held[name])}" for name in list(held)[:_TOLD])
        raise UserError(
            f"out of memory while {doing} ({text[:120]}); the largest buffers of a device: "
            f"{listed}{_temporary(programs)}; lower {_remedies(programs, next(iter(held)))}"
        ) from None


def buffers(programs: "Programs") -> dict[str, int]:
    """Bytes that a device needs for a step, by what they are; the largest first.

    Outputs of layers are counted one by one, as a backward pass may keep them.
    """
    recipe, mesh, data = programs.recipe, programs.mesh.shape, programs.dataset
    state = programs.like
    held = {
        "the parameters": _bytes(state.model),
        "their gradients": _bytes(state.model["params"]),
        "the state of the optimiser": _bytes(state.optimizer),
        "the moving average": _bytes(state.average),
    }
    if not programs.streamed:
        images = len(data.train) + len(data.test)
        held["all images"] = images * math.prod(programs.image_shape)
    devices = mesh["data"] * mesh["space"]
    size = max(recipe.batch_size // recipe.accumulate // devices, 1)
    inputs = jax.ShapeDtypeStruct((size, *programs.image_shape), np.float32)
    network = programs.network.join(programs.network.shapes)
    network.train()
    for row in analysis.summary(network, inputs, depth=None, show=False).rows:
        held[f"the output of `{row.layer}` for {size} images"] = row.memory
    return dict(sorted(((k, v) for k, v in held.items() if v), key=lambda item: -item[1]))


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _temporary(programs: "Programs") -> str:
    """What the compiled step, or epoch, needs at once; "" before it is compiled."""
    compiled = getattr(getattr(programs, "batches", None), "compiled", None)
    found = compiled.memory_analysis() if compiled else None
    return f"; all that it computes with {_size(found.temp_size_in_bytes)}" if found else ""


def _remedies(programs: "Programs", largest: str) -> str:
    recipe = programs.recipe
    options = [
        f"--batch-size (={recipe.batch_size})",
        f"--test-batch-size (={recipe.test_batch_size})",
    ]
    if programs.streamed:
        options.append("--image-size")
    if "output of" not in largest:
        options.insert(0, "the widths of the network (another --model)")
    extra = [f"a larger --accumulate (={recipe.accumulate})"]
    if not recipe.remat:
        extra.append("--remat")
    if recipe.precision == "float32":
        extra.append("--precision bfloat16")
    return f"{', '.join(options)}, or take {' or '.join(extra)}"


def _size(count: int) -> str:
    """Bytes in a unit that suits them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
