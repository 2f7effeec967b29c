"""The checks behind `check_transforms`: values and gradients under jit, vmap, checkpoint, scan."""

import functools
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from jaxcnn.testing._comparison import Comparison, Tolerance, compare
from jaxcnn.testing._flat_function import Arrays, FlatFunction, draw, pull

TRANSFORMS = ("jit", "vmap", "checkpoint", "scan")

_BATCH = 2

Results = tuple[Arrays, Arrays]


def transformed(
    flat: FlatFunction,
    transforms: Sequence[str],
    tolerance: Tolerance,
    rng: np.random.Generator,
) -> list[Comparison]:
    """Compares outputs and gradients of `flat` under each of `transforms` with the eager ones."""
    values = flat.values
    moved = tuple(jax.device_put(np.roll(value, 1)) for value in values)
    stacked = tuple(np.stack(pair) for pair in zip(values, moved, strict=True))
    cotangents = [tuple(draw(rng, out) for out in flat.output_types()) for _ in range(_BATCH)]
    cotangent = tuple(np.stack(pair) for pair in zip(*cotangents, strict=True))
    made: list[Comparison] = []

    def add(check: str, actual: Results, expected: Results) -> None:
        way = "vmap" if check.startswith("vmap") else check
        outputs = zip(range(len(actual[0])), actual[0], expected[0], strict=True)
        gradients = zip(flat.labels, actual[1], expected[1], strict=True)
        rows = [(f"output {number}", a, e) for number, a, e in outputs]
        rows += [(f"the gradient for {label}", a, e) for label, a, e in gradients]
        for of, a, e in rows:
            made.append(compare(a, e, check, (way, "no transformation"), of, tolerance))

    eager = pull(flat, values, cotangents[0])

    def one_by_one(mapped: Sequence[bool]) -> Results:
        """The eager answer for each of the batch, gradients of what is not mapped added up."""
        second = tuple(m if use else v for v, m, use in zip(values, moved, mapped, strict=True))
        runs = [eager, pull(flat, second, cotangents[1])]
        outputs = tuple(np.stack(pair) for pair in zip(*(run[0] for run in runs), strict=True))
        with np.errstate(over="ignore", invalid="ignore"):
            gradients = tuple(
                np.stack(pair) if use else np.add(*pair)
                for use, *pair in zip(mapped, *(run[1] for run in runs), strict=True)
            )
        return outputs, gradients

    # One program for all: what they have in common is compiled once.
    ways = [way for way in _ways(flat) if way[0].split()[0] in transforms]

    @jax.jit
    def together(single: Arrays, batched: Arrays, cotangent: Arrays) -> list[Results]:
        first = tuple(c[0] for c in cotangent)
        return [
            pulled(_chosen(single, batched, mapped), cotangent if any(mapped) else first)
            for _, pulled, mapped in ways
        ]

    results = together(values, stacked, cotangent)
    for (check, _, mapped), actual in zip(ways, results, strict=True):
        add(check, actual, one_by_one(mapped) if any(mapped) else eager)
    return made


def _ways(flat: FlatFunction) -> Iterator[tuple[str, Callable[..., Results], list[bool]]]:
    """Every check, its outputs and gradients as a function, and which arrays are of a batch."""
    count = len(flat.labels)
    none, first, every = [False] * count, [i == 0 for i in range(count)], [True] * count
    yield "jit", functools.partial(pull, flat), none
    yield "checkpoint", functools.partial(pull, jax.checkpoint(flat)), none
    for i, label in enumerate(flat.labels):
        batched = jax.vmap(flat, tuple(0 if j == i else None for j in range(count)))
        alone = [j == i for j in range(count)]
        yield f"vmap {label.split('`')[1]}", functools.partial(pull, batched), alone
    if count > 1:
        yield "vmap all", jax.vmap(functools.partial(pull, flat)), every
    yield "scan", functools.partial(pull, _scan(flat)), first


def _chosen(single: Arrays, batched: Arrays, mapped: Sequence[bool]) -> Arrays:
    return tuple(b if use else s for s, b, use in zip(single, batched, mapped, strict=True))


def _scan(flat: FlatFunction) -> Callable[..., Arrays]:
    def steps(first, *rest):
        return jax.lax.scan(lambda carry, x: (carry, flat(x, *rest)), None, first)[1]

    return steps
