"""Running out of memory is explained: what takes the most of it, and which options lower that."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.commands.command import UserError
from experiments.data.split import first_line
from experiments.training.network import Network
from experiments.training.recipe import Recipe
from experiments.training.step import TrainState
from jaxcnn import analysis

# What XLA, its allocators and the C++ library say.
_SIGNS = ("RESOURCE_EXHAUSTED", "OUT OF MEMORY", "BAD_ALLOC", "FAILED TO ALLOCATE")
_TOLD = 4  # buffers that are named


@dataclasses.dataclass(frozen=True)
class Needs:
    """What takes memory in a training.

    Attributes:
      network: that is trained.
      state: shapes and dtypes.
      recipe: of the run.
      mesh: over which the batch is split.
      image_shape: as the network sees them.
      images: how many of them each device holds; None where they are streamed.
    """

    network: Network
    state: TrainState
    recipe: Recipe
    mesh: Mesh
    image_shape: tuple[int, ...]
    images: int | None

    def buffers(self) -> dict[str, int]:
        """Bytes that a device needs for a step, by what they are; the largest first.

        Outputs of layers are counted one by one, as a backward pass may keep them.
        """
        held = {
            "the parameters": _bytes(self.state.model),
            "their gradients": _bytes(self.state.model["params"]),
            "the state of the optimiser": _bytes(self.state.optimizer),
            "the moving average": _bytes(self.state.average),
            "all images": (self.images or 0) * math.prod(self.image_shape),
        }
        parts = self.recipe.accumulate * math.prod(self.mesh.shape.values())
        size = max(self.recipe.batch_size // parts, 1)
        inputs = jax.ShapeDtypeStruct((size, *self.image_shape), np.float32)
        network = self.network.join(self.network.shapes)
        self.network.train(network)
        for row in analysis.summary(network, inputs, depth=None, show=False).rows:
            held[f"the output of `{row.layer}` for {size} images"] = row.memory
        return dict(sorted(((k, v) for k, v in held.items() if v), key=lambda item: -item[1]))

    def remedies(self, largest: str) -> str:
        """The options that lower it, where `largest` is the name of the largest buffer."""
        recipe = self.recipe
        options = [
            f"--batch-size (={recipe.batch_size})",
            f"--test-batch-size (={recipe.test_batch_size})",
        ]
        if self.images is None:
            options.append("--image-size")
        if "output of" not in largest:
            options.insert(0, "the widths of the network (another --model)")
        extra = [f"a larger --accumulate (={recipe.accumulate})"]
        if not recipe.remat:
            extra.append("--remat")
        if recipe.precision == "float32":
            extra.append("--precision bfloat16")
        return f"{', '.join(options)}, or take {' or '.join(extra)}"


@contextlib.contextmanager
def explained(doing: str, needs: Callable[[], Needs], compiled: Any = None) -> Iterator[None]:
    """Turns running out of memory into a message with the largest buffers and what to lower.

    Args:
      doing: in words, such as "training".
      needs: gives what takes the memory.
      compiled: the step or the epoch; None before it is compiled.
    """
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        text = first_line(error)
        if not (isinstance(error, MemoryError) or any(sign in text.upper() for sign in _SIGNS)):
            raise
        held = needs().buffers()
        listed = ", ".join(f"{name} {_size(held[name])}" for name in list(held)[:_TOLD])
        found = compiled.memory_analysis() if compiled else None
        rest = f"; all that it computes with {_size(found.temp_size_in_bytes)}" if found else ""
        raise UserError(
            f"out of memory while {doing} ({text[:120]}); the largest buffers of a device: "
            f"{listed}{rest}; lower {needs().remedies(next(iter(held)))}"
        ) from None


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _size(count: int) -> str:
    """Bytes in a unit that suits them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
