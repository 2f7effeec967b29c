"""A device that is not here, to compile for."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import topologies

from experiments.commands.command import UserError
from experiments.compiled_for.description import Description
from experiments.compiled_for.kernels import Program, program


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes that a program takes on each device.

    Attributes:
      arguments: what it is given.
      results: what it gives, but for what takes an argument's place.
      temporary: what it computes on the way.
    """

    arguments: int
    results: int
    temporary: int

    @property
    def total(self) -> int:
        """At one time."""
        return self.arguments + self.results + self.temporary


@dataclasses.dataclass(frozen=True)
class Target:
    """Compiles for a device. Its process has the environment of the description.

    Attributes:
      description: of the device.
    """

    description: Description

    def devices(self, count: int = 1) -> Sequence[Any]:
        """So many devices, that can be named in a mesh and nothing else.

        Raises:
          UserError: it does not come in that number, or can't be compiled for.
        """
        about = self.description
        if about.missing:
            raise UserError(about.missing)
        options = dict(target_config=about.target, topology=about.topology(count))
        if about.platform == "tpu":
            if count not in about.slices:
                known = ", ".join(map(str, about.counts))
                raise UserError(f"{about.title} comes in {known} devices; received {count}")
            options = dict(topology_name=about.slices[count])
        try:
            described = topologies.get_topology_desc(platform=about.platform, **options)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{about.title} can't be compiled for: {_one_line(error)}") from None
        return described.devices[:count]

    def mesh(self, axes: Mapping[str, int] | None = None) -> jax.sharding.Mesh:
        """A mesh with these axes; with one device by default."""
        axes = axes or {"one": 1}
        sizes = tuple(axes.values())
        devices = np.array(self.devices(int(np.prod(sizes)))).reshape(sizes)
        return jax.sharding.Mesh(devices, tuple(axes))

    def lower(self, function: Callable[..., Any], arguments: Any) -> jax.stages.Lowered:
        """Lowers for one device; arguments are anything with a shape and a dtype."""
        place = jax.sharding.NamedSharding(self.mesh(), jax.sharding.PartitionSpec())
        given = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place), list(arguments)
        )
        return jax.jit(function).lower(*given)

    def compile(self, function: Callable[..., Any], arguments: Any) -> jax.stages.Compiled:
        """Lowers and compiles."""
        return self.lower(function, arguments).compile()


def kernels(compiled: jax.stages.Compiled) -> Program:
    """What a compiled program does."""
    return program(compiled.as_text() or "")


def memory(compiled: jax.stages.Compiled) -> Memory:
    """What it takes on each device."""
    found: Any = None
    with contextlib.suppress(NotImplementedError):
        found = compiled.memory_analysis()
    if found is None:
        return Memory(0, 0, 0)
    results = found.output_size_in_bytes - found.alias_size_in_bytes
    return Memory(found.argument_size_in_bytes, results, found.temp_size_in_bytes)


def _one_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
