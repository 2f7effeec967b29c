"""Many devices and many processes, all of it on JAX's own engine."""

from experiments.parallel.mesh import batch_sharding, batch_share, make_mesh, replicated
from experiments.parallel.place import constrain, place_batch, replicate
from experiments.parallel.processes import is_first, start_processes

__all__ = [
    "batch_share",
    "batch_sharding",
    "constrain",
    "is_first",
    "make_mesh",
    "place_batch",
    "replicate",
    "replicated",
    "start_processes",
]
