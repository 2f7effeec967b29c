"""The arrays of a row, drawn and put on the device, and how much work it is."""

import zlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmark.copies import copies
from experiments.benchmark.programs import FORWARD
from experiments.benchmark.registry import Benchmark


class RowData:
    """The arrays of a row.

    Attributes:
      drawn, arrays: the arguments in NumPy, 32-bit floats and whole numbers; and on the device.
      drawn_cotangent, cotangent: of the output, likewise; None for networks.
      copies: how often the batch is repeated on the device.
    """

    def __init__(self, row: Benchmark, dtype: str, megabytes: float):
        """Draws them.

        Args:
          row: of the benchmark.
          dtype: as on the command line.
          megabytes: as in `copies.py`.
        """
        rng = np.random.default_rng(zlib.crc32(row.name.encode()))
        self.row = row
        self.drawn = [draw(rng) for draw in row.draws]
        kind = jnp.dtype("float32" if dtype == "tf32" else dtype)
        self.arrays = [jnp.asarray(a, kind if a.dtype.kind == "f" else a.dtype) for a in self.drawn]
        self.cotangent = self.drawn_cotangent = None
        self.copies = copies(row, self.arrays, megabytes)
        self.arrays = [
            self._repeated(array) if has else array
            for array, has in zip(self.arrays, self.copies.arrays, strict=True)
        ]
        if row.suite == "primitives":
            self.outputs = jax.eval_shape(row.ours, *self.arrays)
            shape = (self.outputs.shape[0] // self.copies.count, *self.outputs.shape[1:])
            self.drawn_cotangent = rng.standard_normal(shape, np.float32)
            self.cotangent = self._repeated(jnp.asarray(self.drawn_cotangent, kind))

    def first(self, results: Sequence[jax.Array]) -> list[np.ndarray]:
        """Of a program's results, without the copies of the batch."""
        count = self.copies.count
        if count == 1:
            return [np.asarray(result) for result in results]
        moved = [
            has
            for array, has in zip(self.arrays, self.copies.arrays, strict=True)
            if jnp.issubdtype(array.dtype, jnp.inexact)
        ]
        return [
            np.asarray(result[: result.shape[0] // count] if has else result)
            for result, has in zip(results, [True, *moved], strict=False)
        ]

    def _repeated(self, array: jax.Array) -> jax.Array:
        count = self.copies.count
        return array if count == 1 else jnp.concatenate([array] * count)

    def work(self, mode: str) -> tuple[float | None, float | None]:
        """Operations, and bytes that must be moved: each array read and written once a pass.

        The gradient for each array is taken to cost as much as the forward pass.
        """
        if self.row.flops is None or self.row.suite != "primitives":
            return None, None
        read = sum(a.nbytes for a in self.arrays)
        floats = [a for a in self.arrays if jnp.issubdtype(a.dtype, jnp.inexact)]
        written = self.outputs.size * self.outputs.dtype.itemsize
        flops = float(self.row.flops(self.outputs))
        if mode == FORWARD:
            return flops, read + written
        backward = read + written + sum(a.nbytes for a in floats)
        return flops * (1 + len(floats)), read + written + backward
