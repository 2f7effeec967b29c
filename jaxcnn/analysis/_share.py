"""How the time of a forward and backward pass divides among parts of a network."""

import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxcnn.analysis._calls import Call

ROUNDS = 7


def measure(model: nnx.Module, calls: list[Call]) -> list[float]:
    """Each call's part of the sum: its module by itself, on random inputs, forward and backward."""
    if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(nnx.state(model))):
        raise TypeError("summary: `model` must hold values to be timed; build it, or time=False")
    parts = dict(nnx.iter_modules(model))
    steps = [_step(parts[call.path], call) for call in calls]
    rounds = [[_seconds(*step) for step in steps] for _ in range(ROUNDS + 1)][1:]
    times = [statistics.median(column) for column in zip(*rounds, strict=True)]
    return [seconds / sum(times) for seconds in times]


def _step(module: nnx.Module, call: Call) -> tuple[Any, Any, Any]:
    """The compiled step of one module and what to call it with."""
    graph, parameters, rest = nnx.split(module, nnx.Param, ...)
    rng = np.random.default_rng(0)
    inputs = tuple(
        jax.device_put(rng.normal(size=value.shape).astype(value.dtype))
        if isinstance(value, jax.ShapeDtypeStruct)
        else value
        for value in call.inputs
    )

    def loss(wanted: Any, rest: Any) -> Any:
        parameters, images = wanted
        outputs = nnx.merge(graph, parameters, rest, copy=True)(*images)
        return sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(outputs))

    step = jax.jit(jax.value_and_grad(loss))
    jax.block_until_ready(step((parameters, inputs), rest))
    return step, (parameters, inputs), rest


def _seconds(step: Any, wanted: Any, rest: Any) -> float:
    """One run."""
    start = time.perf_counter()
    jax.block_until_ready(step(wanted, rest))
    return time.perf_counter() - start
