"""Every primitive, by every algorithm that it has, with its batch split among devices.

`test_halo.py` runs this with eight simulated devices. Values and gradients are those of the
reference, and so those of one device. Of each primitive and algorithm it takes the first case;

    JAXCNN_EVERY_CASE=1 pytest -s tests/lowering/test_halo.py

takes them all and says how many there are.
"""

import os

import jax
import numpy as np
import pytest

from jaxcnn import functional, reference
from jaxcnn.testing import primitives
from jaxcnn.testing.algorithms import ALGORITHMS, by_algorithm
from jaxcnn.testing.devices import can_split, values_and_gradients


def ways(entry):
    """Cases in float64 whose batch can be split, and each by every algorithm that takes it."""
    found = {}
    for case in entry.cases.values():
        arrays = case.arrays("float64", seed=8)
        if can_split(arrays) and "float64" in case.dtypes:
            for way in (case, *by_algorithm(case, arrays)):
                algorithm = way.fn.keywords.get("algorithm", "")
                found.setdefault(way.name if EVERY_CASE else algorithm, way)
    return found


EVERY_CASE = "JAXCNN_EVERY_CASE" in os.environ
WAYS = {name: ways(entry) for name, entry in primitives().items()}


@pytest.mark.parametrize("name", WAYS)
def test_batches_split_among_devices(name):
    problems = []
    for case in WAYS[name].values():
        arrays = case.arrays("float64", seed=8)
        shape = jax.eval_shape(lambda *a, fn=case.fn: jax.tree.leaves(fn(*a))[0], *arrays).shape
        problems.append((case, arrays, np.random.default_rng(9).standard_normal(shape)))
    found = values_and_gradients(problems)
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
    cases = [case for found in WAYS.values() for case in found.values()]
    print(f"{len(cases)} cases, algorithms counted apart")
    assert all(WAYS.values())
    assert {case.fn.keywords.get("algorithm", "") for case in cases} == {"", *ALGORITHMS}
