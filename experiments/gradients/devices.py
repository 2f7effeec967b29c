"""A case with its batch split among devices, and by each algorithm of its primitive."""

import dataclasses
import functools
import inspect
import threading
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from experiments.gradients.registry import Case
from jaxcnn.lowering import choose

ALGORITHMS = (*choose.CONV_ALGORITHMS, *(choose.MAX_POOL_ALGORITHMS | choose.SUM_POOL_ALGORITHMS))

# Two programs that wait for one another's devices would wait for ever.
_ONE_AT_A_TIME = threading.Lock()


def by_algorithm(case: Case, arrays: Sequence[np.ndarray]) -> Iterator[Case]:
    """The case by each algorithm that computes it; none where the primitive has no choice."""
    fn = case.fn.func if isinstance(case.fn, functools.partial) else case.fn
    chosen = case.fn.keywords if isinstance(case.fn, functools.partial) else {}
    if "algorithm" not in inspect.signature(fn).parameters or "algorithm" in chosen:
        return
    for name in dict.fromkeys(ALGORITHMS):
        by_name = functools.partial(case.fn, algorithm=name)
        try:
            jax.eval_shape(by_name, *arrays)
        except ValueError:  # refused: it does not take such a kernel, or the primitive not the name
            continue
        yield dataclasses.replace(case, name=f"{case.name} by {name}", fn=by_name)


def can_split(arrays: Sequence[jax.Array]) -> bool:
    """Whether there are devices, and the first array divides by two along its first axis."""
    return jax.device_count() > 1 and arrays[0].ndim > 1 and arrays[0].shape[0] % 2 == 0


# A case, its arguments, and a cotangent of the first output's shape.
Problem = tuple[Case, Sequence[jax.Array], jax.Array]


def values_and_gradients(problems: Sequence[Problem], split: bool) -> list[tuple]:
    """The first output of each, and its gradients by position in a dictionary: one program.

    Args:
      problems: what is computed.
      split: whether every array as long as its problem's first is split in two along its first
        axis, kernels of that length too, and all others copied to every device.
    """

    def run(arguments):
        return [
            _pulled(case, arrays, cotangent)
            for (case, _, _), (arrays, cotangent) in zip(problems, arguments, strict=True)
        ]

    arguments = [(list(arrays), cotangent) for _, arrays, cotangent in problems]
    if not split:
        return jax.jit(run)(arguments)
    mesh = jax.make_mesh((2, jax.device_count() // 2), ("data", "space"), (AxisType.Auto,) * 2)

    def place(array, length):
        axes = ("data",) if array.shape[:1] == (length,) else ()
        return jax.device_put(array, NamedSharding(mesh, PartitionSpec(*axes)))

    with _ONE_AT_A_TIME, jax.set_mesh(mesh):
        placed = [
            jax.tree.map(functools.partial(place, length=given[0][0].shape[0]), given)
            for given in arguments
        ]
        return jax.block_until_ready(jax.jit(run)(placed))


def _pulled(case: Case, arrays: Sequence[jax.Array], cotangent: jax.Array) -> tuple:
    """The first output and the gradients of all floating-point arguments."""
    positions = [i for i, a in enumerate(arrays) if jax.numpy.issubdtype(a.dtype, np.inexact)]

    def fn(*values):
        given = dict(zip(positions, values, strict=True))
        return jax.tree.leaves(case.fn(*(given.get(i, a) for i, a in enumerate(arrays))))[0]

    outputs, pullback = jax.vjp(fn, *(arrays[i] for i in positions))
    return outputs, dict(zip(positions, pullback(cotangent), strict=True))
