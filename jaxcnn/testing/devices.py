"""A case with its batch split among devices."""

import functools
import threading
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxcnn import sharding
from jaxcnn.testing._comparison import Report, Tolerance, compare, conclude, default_rtol
from jaxcnn.testing._flat_function import draw
from jaxcnn.testing.registry import Case

# Two programs that wait for one another's devices would wait for ever.
_ONE_AT_A_TIME = threading.Lock()


def can_split(arrays: Sequence[jax.Array]) -> bool:
    """Whether there are devices, and the first array divides by two along its first axis."""
    return jax.device_count() > 1 and arrays[0].ndim > 1 and arrays[0].shape[0] % 2 == 0


# A case, its arguments, and a cotangent of the first output's shape.
Problem = tuple[Case, Sequence[Any], Any]


def values_and_gradients(problems: Sequence[Problem]) -> list[tuple]:
    """The first output of each, and its gradients by position in a dictionary, of split batches.

    Every array as long as its problem's first is split in two along its first axis, kernels of that
    length too, and all others are copied to every device. It is one program.
    """

    def run(arguments):
        return [
            pulled(case, arrays, cotangent)
            for (case, _, _), (arrays, cotangent) in zip(problems, arguments, strict=True)
        ]

    mesh = sharding.make_mesh(f"data=2,space={jax.device_count() // 2}")

    def place(array, length):
        axes = ("data",) if array.shape[:1] == (length,) else ()
        # NumPy's parts go to their devices as they are; those of an array of JAX are programs.
        return jax.device_put(np.asarray(array), NamedSharding(mesh, PartitionSpec(*axes)))

    arguments = [(list(arrays), cotangent) for _, arrays, cotangent in problems]
    placed = [
        jax.tree.map(functools.partial(place, length=given[0][0].shape[0]), given)
        for given in arguments
    ]
    with sharding.split(mesh, batch="data", rows="space"):
        program = jax.jit(run).lower(placed).compile()
    with _ONE_AT_A_TIME:
        return jax.block_until_ready(program(placed))


def check_split(
    case: Case,
    arrays: Sequence[jax.Array],
    *,
    argnums: int | Sequence[int] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Report:
    """Asserts that the value and the gradients of a split batch are those of one device.

    Args:
      case: what is computed, its first output alone.
      arrays: its arguments.
      argnums: as in `check_transforms`, like what follows.
      rtol: relative tolerance.
      atol: absolute tolerance.
      seed: of the cotangent.
      name: of the function in messages.
    Returns:
      A report with the one check `"sharded"`.
    Raises:
      GradientError: they differ.
    """
    shape = jax.eval_shape(lambda *given: jax.tree.leaves(case.fn(*given))[0], *arrays)
    cotangent = draw(np.random.default_rng(seed), shape)
    expected = pulled(case, arrays, cotangent)
    (actual,) = values_and_gradients([(case, arrays, cotangent)])
    (output, gradients), (split_output, split_gradients) = expected, actual
    compared = {argnums} if isinstance(argnums, int) else set(argnums or gradients)
    pairs = [("output 0", split_output, output)]
    for i in sorted(compared & gradients.keys()):
        pairs.append((f"the gradient for argument {i}", split_gradients[i], gradients[i]))
    tolerance = Tolerance(rtol, atol).resolved(default_rtol(output.dtype))
    ways = ("two devices", "one device")
    made = [compare(there, here, "sharded", ways, of, tolerance) for of, there, here in pairs]
    return conclude("check_split", name or case.primitive, made)


def pulled(case: Case, arrays: Sequence[Any], cotangent: Any) -> tuple:
    """The first output and the gradients of all floating-point arguments."""
    positions = [i for i, a in enumerate(arrays) if jax.numpy.issubdtype(a.dtype, np.inexact)]

    def fn(*values):
        given = dict(zip(positions, values, strict=True))
        return jax.tree.leaves(case.fn(*(given.get(i, a) for i, a in enumerate(arrays))))[0]

    outputs, pullback = jax.vjp(fn, *(arrays[i] for i in positions))
    return outputs, dict(zip(positions, pullback(cotangent), strict=True))
