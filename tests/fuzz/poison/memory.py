"""Poison: what lies around a program's arrays, and in the memory that it is given.

A program that reads outside its arrays, or what it has not written, gives what happens to lie
there: mostly zeros, so that it is right nearly always. Here something else lies there,

- around each argument, which lies in the middle of a larger block, where XLA leaves it: it takes
  over aligned NumPy arrays without a copy;
- in the memory for temporaries and outputs, and around it. The C library's allocator gives freed
  blocks out again as they are: blocks of just these sizes are filled, with filled ones between
  them, and freed right before the call;
- in blocks of many sizes, for what XLA's own libraries allocate.

This leans on the GNU C library. Elsewhere the poison around arguments is all that is certain.
"""

import contextlib
import ctypes
import math
from collections.abc import Iterator, Sequence

import jax
import numpy as np

from tests.fuzz.poison.allocator import LARGEST, M_PERTURB, libc

# Bits of two 16-bit words, which mean the same in each float dtype of 16 and of 32 bits. "huge" is
# NaN in float16, where nothing else is as large.
POISONS = {
    "zeros": 0x00000000,
    "NaN": 0x7FC07FC0,
    "huge": 0x7F617F61,  # 3.0e38
    "minus huge": 0xFF61FF61,
    "ones": 0x3F803F80,  # by which a sum is wrong, and neither infinite nor NaN
}
GUARD = 8192  # bytes on either side of an argument
WALL = 1024  # bytes between two blocks that are freed
COPIES = 3  # blocks of each size, for more than one array may have it
ALIGNED = 64  # bytes, as XLA asks for them
LEFT_OVER = 112  # bytes that an aligned block may need more


def surrounded(array: np.ndarray, poison: str) -> jax.Array:
    """The array on the device, with `GUARD` bytes of poison before it and after it."""
    block = np.empty(array.nbytes + 2 * GUARD + ALIGNED, np.uint8)
    _fill(block, poison)
    start = GUARD + -(block.ctypes.data + GUARD) % ALIGNED
    inside = block[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    inside[...] = array
    return jax.device_put(inside)


@contextlib.contextmanager
def poisoned(sizes: Sequence[int], poison: str, filled_when_given: bool) -> Iterator[None]:
    """While this lasts, the allocator gives out poison.

    Args:
      sizes: of the arrays to come, in bytes.
      poison: one of `POISONS`.
      filled_when_given: has the allocator fill every block with bytes of 0x7f, 3.4e38 in float32,
        when it gives it out. No NaN can be asked for.
    """
    walls = [_block(WALL, poison)]
    freed = [_block(1 << power, poison) for power in range(4, 17) for _ in range(2)]
    for size in sizes:
        for _ in range(COPIES if 0 < size < LARGEST else 0):
            freed.append(_block(size + LEFT_OVER, poison))
            walls.append(_block(WALL, poison))
    for address in freed:
        libc.free(address)
    if filled_when_given:
        _perturb(0x80)  # the allocator takes the complement
    try:
        yield
    finally:
        _perturb(0)
        for address in walls:
            libc.free(address)


def sizes_of(compiled: jax.stages.Compiled) -> list[int]:
    """The bytes of a program's temporary memory, and of each of its outputs."""
    outputs = [
        math.prod(output.shape) * output.dtype.itemsize
        for output in jax.tree.leaves(compiled.out_info)
    ]
    analysis = compiled.memory_analysis()
    return [analysis.temp_size_in_bytes if analysis else 0, *outputs]


def _perturb(byte: int) -> None:
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_PERTURB, byte)


def _block(size: int, poison: str) -> int:
    address = libc.malloc(size)
    _fill(np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address)), poison)
    return address


def _fill(block: np.ndarray, poison: str) -> None:
    """Fills bytes with a poison, to the last whole word."""
    block[: block.size // 4 * 4].view(np.uint32)[:] = POISONS[poison]
