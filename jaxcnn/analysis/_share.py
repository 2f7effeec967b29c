"""How the time of a forward and backward pass divides among parts of a network."""

import statistics
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxcnn.analysis._calls import Call, Path, shapes
from jaxcnn.analysis._products import Costs

ROUNDS = 7


def measure(
    model: Any,
    calls: Mapping[int, Call],
    costs: Costs,
    rows: Mapping[Path, list[int]],
) -> dict[Path, float | None]:
    """Each row's part of the sum: its module by itself, on random inputs, forward and backward.

    Where the module is not called as such, its layers. None where neither can run by itself: with
    other rows inside it, or with the parameters of several stacked.
    """
    state = jax.tree.leaves(nnx.state(model)) if isinstance(model, nnx.Module) else []
    if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in state):
        raise TypeError("`model` must hold values to be timed; build it, or time=False")
    runs: Counter[Path] = Counter()
    for number, call in calls.items():
        runs[call.path] += costs.runs[number]
    last = {call.path: call for call in calls.values()}
    parts: dict[Path, set[Path]] = {}
    for path, members in rows.items():
        inside = any(other != path and other[: len(path)] == path for other in rows)
        own = {path} if path in last else {calls[number].path for number in members}
        timed = not inside and all(_alone(part(model, each), last[each]) for each in own)
        parts[path] = own if timed else set()
    steps = {p: _step(part(model, p), last[p]) for p in set().union(*parts.values())}
    rounds = [[_seconds(*step) for step in steps.values()] for _ in range(ROUNDS + 1)][1:]
    columns = zip(steps, zip(*rounds, strict=True), strict=True)
    times = {path: runs[path] * statistics.median(seconds) for path, seconds in columns}
    whole = sum(times.values())
    return {
        p: sum(times[each] for each in own) / whole if own else None for p, own in parts.items()
    }


def part(model: Any, path: Path) -> Any:
    """What lies at a path of the network: of a Linen layer its variables, None if it has none."""
    for name in path:
        if isinstance(name, int):
            model = model[name]
        else:
            model = model.get(name) if isinstance(model, dict) else getattr(model, name, None)
    return model


def _alone(part: Any, call: Call) -> bool:
    """Whether it can be called with the variables of one call; a Linen layer cannot."""
    if isinstance(part, nnx.Module):
        return shapes(nnx.state(part)) == call.state
    return callable(part)


def _step(part: Any, call: Call) -> tuple[Any, Any, Any]:
    """The compiled step of one module and what to call it with."""
    graph, parameters, rest = None, (), ()
    if isinstance(part, nnx.Module):
        graph, parameters, rest = nnx.split(part, nnx.Param, ...)
    rng = np.random.default_rng(0)
    given, tree = jax.tree.flatten(call.inputs)
    drawn = {
        place: jax.device_put(rng.normal(size=value.shape).astype(value.dtype))
        for place, value in enumerate(given)
        if isinstance(value, jax.ShapeDtypeStruct)
    }

    def loss(wanted: Any, rest: Any) -> Any:
        parameters, drawn = wanted
        values = [drawn.get(place, value) for place, value in enumerate(given)]
        args, options = jax.tree.unflatten(tree, values)
        layer = part if graph is None else nnx.merge(graph, parameters, rest, copy=True)
        outputs = layer(*args, **options)
        sums = [jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(outputs) if _moves(leaf)]
        return sum(sums[1:], sums[0]) if sums else jnp.zeros(())

    step = jax.jit(jax.value_and_grad(loss, allow_int=True))
    jax.block_until_ready(step((parameters, drawn), rest))
    return step, (parameters, drawn), rest


def _moves(leaf: Any) -> bool:
    """Whether a leaf has a gradient."""
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact)


def _seconds(step: Any, wanted: Any, rest: Any) -> float:
    """One run."""
    start = time.perf_counter()
    jax.block_until_ready(step(wanted, rest))
    return time.perf_counter() - start
