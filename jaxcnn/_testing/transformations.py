"""The checks behind `check_transforms`: values and gradients under jit, vmap, checkpoint, scan."""

import functools
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from jaxcnn._testing.comparison import Comparison, Tolerance, compare
from jaxcnn._testing.flat_function import Arrays, FlatFunction, draw, pull

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
    if "jit" in transforms:
        add("jit", flat.pullback(values, cotangents[0]), eager)
    if "checkpoint" in transforms:
        recomputed = jax.jit(lambda v, c: pull(jax.checkpoint(flat), v, c))
        add("checkpoint", recomputed(values, cotangents[0]), eager)

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

    if "vmap" in transforms:
        for title, mapped in _mappings(flat):
            arguments = tuple(
                s if use else v for s, v, use in zip(stacked, values, mapped, strict=True)
            )
            if all(mapped) and len(mapped) > 1:
                program = jax.vmap(lambda v, c: pull(flat, v, c))
            else:
                axes = tuple(0 if use else None for use in mapped)
                program = functools.partial(_pull_batched, flat, axes)
            add(title, jax.jit(program)(arguments, cotangent), one_by_one(mapped))
    if "scan" in transforms:
        mapped = [i == 0 for i in range(len(values))]
        scanned = jax.jit(lambda v, c: pull(_scan(flat), v, c))
        add("scan", scanned((stacked[0], *values[1:]), cotangent), one_by_one(mapped))
    return made


def _pull_batched(
    flat: FlatFunction, axes: tuple[int | None, ...], values: Arrays, cotangent: Arrays
) -> Results:
    return pull(jax.vmap(flat, axes), values, cotangent)


def _scan(flat: FlatFunction) -> Callable[..., Arrays]:
    def steps(first, *rest):
        return jax.lax.scan(lambda carry, x: (carry, flat(x, *rest)), None, first)[1]

    return steps


def _mappings(flat: FlatFunction) -> Iterator[tuple[str, list[bool]]]:
    """Which arrays to map over: each alone, then all."""
    count = len(flat.labels)
    for i, label in enumerate(flat.labels):
        yield f"vmap {label.split('`')[1]}", [j == i for j in range(count)]
    if count > 1:
        yield "vmap all", [True] * count
