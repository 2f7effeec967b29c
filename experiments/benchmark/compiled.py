"""A compiled program with what compiling cost, and its running time."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A program with its arguments.

    Attributes:
      call: runs it once and returns the results, which may still be under way.
      seconds: of CPU, to trace, lower and compile it, on all threads of this process.
      temp_bytes: memory for what it computes on the way, results not counted; None if unknown.
    """

    call: Callable[[], Any]
    seconds: float
    temp_bytes: int | None

    def sample(self, calls: int) -> float:
        """Seconds that one of `calls` calls takes.

        On a CPU each is waited for, since several would run at the same time; on an accelerator
        they queue up.
        """
        on_cpu = jax.default_backend() == "cpu"
        start = time.perf_counter()
        for _ in range(calls):
            results = self.call()
            if on_cpu:
                jax.block_until_ready(results)
        jax.block_until_ready(results)
        return (time.perf_counter() - start) / calls


def compile_program(function: Callable[..., Any], arguments: Sequence[jax.Array]) -> Compiled:
    """Compiles `function` with nothing cached."""
    jax.clear_caches()
    start = time.process_time()
    compiled = jax.jit(function).lower(*arguments).compile()
    seconds = time.process_time() - start
    memory = compiled.memory_analysis()
    temp_bytes = None if memory is None else int(memory.temp_size_in_bytes)
    return Compiled(lambda: compiled(*arguments), seconds, temp_bytes)
