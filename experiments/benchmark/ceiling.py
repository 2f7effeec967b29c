"""What the machine can do at best, measured in the same run: a large product and a large copy."""

import dataclasses
import functools
import math
import time

import jax
import jax.numpy as jnp

from experiments.benchmark import load, timing
from experiments.benchmark.compiled import compile_program

SIZES = {"cpu": 2048, "gpu": 8192, "tpu": 8192}  # of the matrices


@dataclasses.dataclass(frozen=True)
class Ceiling:
    """The machine's best.

    Attributes:
      flops: operations a second of the product of two large square matrices.
      bytes: bytes a second, read and written, of adding 1 to a large array in place.
      cores: CPU time over wall time of the product.
    """

    flops: float
    bytes: float
    cores: float

    def seconds(self, flops: float, moved: float) -> float:
        """The least time for so many operations and so many bytes that must be moved."""
        return max(flops / self.flops, moved / self.bytes)

    def best(self, other: "Ceiling") -> "Ceiling":
        """The better of two measurements."""
        return Ceiling(*map(max, dataclasses.astuple(self), dataclasses.astuple(other)))


@functools.partial(jax.jit, donate_argnums=0)  # in place: fresh memory must be mapped first
def _add_one(array: jax.Array) -> jax.Array:
    return array + 1


def measure(dtype: jnp.dtype) -> Ceiling:
    """Measures both."""
    size = SIZES[jax.default_backend()]
    draw = jax.jit(jax.random.normal, static_argnums=(1, 2))  # on the device
    left, right = (draw(jax.random.key(seed), (size, size), dtype) for seed in range(2))
    array = draw(jax.random.key(2), (16, size, size), dtype)
    plan = timing.Plan(discard=1, repeats=5, row_seconds=0.0)
    product = compile_program(jnp.matmul, (left, right))

    def copy(calls: int) -> float:
        nonlocal array
        start = time.perf_counter()
        for _ in range(calls):
            array = _add_one(array)
        jax.block_until_ready(array)
        return (time.perf_counter() - start) / calls

    begun = load.now()
    product_seconds = timing.interleaved({"product": product.sample}, plan)["product"].median
    cores = load.cores_used(begun)
    copy_seconds = timing.interleaved({"copy": copy}, plan)["copy"].median
    moved = 2 * math.prod(array.shape) * array.dtype.itemsize
    return Ceiling(2 * size**3 / product_seconds, moved / copy_seconds, cores)
