"""Every primitive, by every algorithm that it has, with its batch split among devices.

`test_halo.py` runs this with eight simulated devices. Values and gradients are those of the
reference, and so those of one device. `python -m experiments.gradients --algorithms` has all cases.
"""

import jax
import numpy as np
import pytest

from experiments.gradients import comparison, devices, registry
from jaxcnn import reference

comparison.load()


def draw(case):
    rng = np.random.default_rng(8)
    return [np.asarray(draw(rng, np.dtype(np.float64))) for draw in case.draws]


def rows():
    """Each primitive, and each by an algorithm -> the first case of it that can be split."""
    found = {}
    for name, entry in registry.PRIMITIVES.items():
        for case in entry.cases.values():
            arrays = draw(case)
            if devices.can_split(arrays):
                found.setdefault(name, case)
                for by_name in devices.by_algorithm(case, arrays):
                    found.setdefault(f"{name} by {by_name.name.rpartition(' by ')[2]}", by_name)
    return found


ROWS = rows()


@pytest.mark.parametrize("row", ROWS)
def test_batches_split_among_devices(row):
    case = ROWS[row]
    arrays = draw(case)
    shape = jax.eval_shape(lambda *a: jax.tree.leaves(case.fn(*a))[0], *arrays).shape
    cotangent = np.random.default_rng(9).standard_normal(shape)
    outputs, gradients = devices.value_and_gradient(case, arrays, cotangent, True)
    forward = getattr(reference, case.primitive, None)
    if forward is not None and case.primitive != "pool":  # whose reference takes other arguments
        options = {k: v for k, v in case.fn.keywords.items() if k not in registry.COMPUTING}
        expected = forward(*arrays, **options)
        expected = expected[0] if isinstance(expected, tuple) else expected
        np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-10)
    by_hand = case.vjp(cotangent, *arrays)
    by_hand = by_hand if isinstance(by_hand, tuple) else (by_hand,)
    for position, gradient in gradients.items():
        if by_hand[position] is not None:
            np.testing.assert_allclose(gradient, by_hand[position], rtol=1e-10, atol=1e-10)


def test_every_primitive_and_algorithm_is_run():
    assert ROWS.keys() >= registry.PRIMITIVES.keys()
    assert {name.partition(" by ")[2] for name in ROWS} == {"", *devices.ALGORITHMS}
