"""What is measured: a row is one computation, written with this library and with its peers.

A row of one's own takes a few lines:

>>> import jax
>>> from experiments.benchmark import register
>>> row = register(
...     "softplus, 1M",
...     "my family",
...     [(1024, 1024)],
...     ours=jax.nn.softplus,
...     peers={"lax": lambda x: jax.numpy.log1p(jax.numpy.exp(x))},
...     flops=lambda outputs: 2 * outputs.size,
... )
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

# Draws one array of floats or of whole numbers; only floats are differentiated.
Draw = Callable[[np.random.Generator], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """One line of the benchmark.

    Attributes:
      suite: "primitives", whose functions give an array, or "models", whose functions take a step.
      family: what is averaged together.
      name: unique.
      draws: one per array.
      ours: the function of arrays by this library.
      peers: the same by others that run on JAX, by name.
      torch: the same in PyTorch: a name in `torch_worker` and its options; None if it has none.
      flops: operations of the forward pass from the abstract outputs, one per multiplication,
        addition and comparison; None if not counted.
      note: where a target is missed, what was tried and why it stops there.
      in_scan: False where the row is a scan already, an epoch.
    """

    suite: str
    family: str
    name: str
    draws: tuple[Draw, ...]
    ours: Callable[..., Any]
    peers: Mapping[str, Callable[..., Any]]
    torch: tuple[str, Mapping[str, Any]] | None
    flops: Callable[[Any], float] | None
    note: str = ""
    in_scan: bool = True


ROWS: dict[str, Benchmark] = {}


def register(
    name: str,
    family: str,
    arrays: Sequence[Sequence[int] | Draw],
    *,
    ours: Callable[..., Any],
    peers: Mapping[str, Callable[..., Any]] | None = None,
    torch: tuple[str, Mapping[str, Any]] | None = None,
    flops: Callable[[Any], float] | None = None,
    note: str = "",
    suite: str = "primitives",
    in_scan: bool = True,
) -> Benchmark:
    """Adds a row and returns it.

    Args:
      name: what it computes and on which sizes, in a few words.
      family: of rows that belong together.
      arrays: for each argument its shape, filled with standard normal numbers, or a function
        (generator) -> array.
      ours: the function of the arrays.
      peers: the same by others.
      torch: as in `Benchmark`.
      flops: as in `Benchmark`.
      note: as in `Benchmark`.
      suite: as in `Benchmark`.
      in_scan: as in `Benchmark`.
    Raises:
      ValueError: a row has this name already.
    """
    if name in ROWS:
        raise ValueError(f"register: there is a row {name!r} already; choose another name")
    draws = tuple(array if callable(array) else normal(*array) for array in arrays)
    peers = dict(peers or {})
    ROWS[name] = Benchmark(suite, family, name, draws, ours, peers, torch, flops, note, in_scan)
    return ROWS[name]


def normal(*shape: int) -> Draw:
    """Standard normal numbers."""
    return lambda rng: rng.standard_normal(shape, np.float32)


def scaled(scale: float, *shape: int) -> Draw:
    """Normal numbers of standard deviation `scale`."""
    return lambda rng: rng.standard_normal(shape, np.float32) * np.float32(scale)


def whole(below: int, *shape: int) -> Draw:
    """Whole numbers from 0 to `below` - 1."""
    return lambda rng: rng.integers(0, below, shape, np.int32)
