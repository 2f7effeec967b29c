"""Every primitive and algorithm, with its batch split among eight simulated devices.

Values and gradients are those of the reference, and so those of one device. One case of each
primitive runs, and in `BY_ALGORITHM` one more by each of its algorithms.

    JAXCNN_EVERY_CASE=1 pytest -s tests/lowering/test_split_batches.py

runs all cases, each by every algorithm that takes it, and says how many there are.
"""

import functools
import os

import jax
import numpy as np
import pytest

from jaxcnn import functional, reference
from jaxcnn.testing import devices, primitives
from jaxcnn.testing.algorithms import ALGORITHMS, by_algorithm

pytestmark = pytest.mark.eight_devices

EVERY_CASE = "JAXCNN_EVERY_CASE" in os.environ
# Every algorithm is that of one of these: all other primitives hand it the same problem.
BY_ALGORITHM = ("conv", "max_pool", "sum_pool")


@functools.cache
def ways(name):
    """Cases in float64 whose batch can be split, and each by every algorithm that takes it."""
    found = {}
    for case in primitives()[name].cases.values():
        arrays = case.arrays("float64", seed=8)
        if not devices.can_split(arrays) or "float64" not in case.dtypes:
            continue
        found.setdefault(case.name if EVERY_CASE else "", case)
        if EVERY_CASE or name in BY_ALGORITHM:
            for way in by_algorithm(case, arrays):
                found.setdefault(way.name if EVERY_CASE else way.options["algorithm"], way)
    return found


@pytest.mark.parametrize("name", primitives())
def test_batches_split_among_devices(name):
    problems = []
    for case in ways(name).values():
        arrays = case.arrays("float64", seed=8)
        shape = jax.eval_shape(lambda *a, fn=case.fn: jax.tree.leaves(fn(*a))[0], *arrays).shape
        problems.append((case, arrays, np.random.default_rng(9).standard_normal(shape)))
    found = devices.values_and_gradients(problems)
    for (case, arrays, cotangent), (outputs, gradients) in zip(problems, found, strict=True):
        forward = getattr(reference, name, None)
        if forward is not None and case.fn.func is getattr(functional, name):
            expected = forward(*arrays, **case.reference_options)
            expected = expected[0] if isinstance(expected, tuple) else expected
            np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-10, err_msg=case.name)
        by_hand = case.vjp(cotangent, *arrays)
        by_hand = by_hand if isinstance(by_hand, tuple) else (by_hand,)
        for position, gradient in gradients.items():
            if by_hand[position] is not None:
                np.testing.assert_allclose(
                    gradient, by_hand[position], rtol=1e-10, atol=1e-10, err_msg=case.name
                )


def test_every_primitive_and_algorithm_is_run():
    found = {name: ways(name) for name in primitives()}
    cases = [case for of_one in found.values() for case in of_one.values()]
    print(f"{len(cases)} cases, algorithms counted apart")
    assert all(found.values())
    assert {case.options.get("algorithm", "") for case in cases} == {"", *ALGORITHMS}
