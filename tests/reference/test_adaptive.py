"""The reference adaptive pools by themselves: hand-worked values, gradients by differences."""

import numpy as np
import pytest

from jaxcnn import reference

POOLS = ("adaptive_avg_pool", "adaptive_max_pool")


def test_hand_worked_values():
    line = np.arange(7.0)[:, None]
    assert reference.adaptive_avg_pool(line, (3,)).ravel().tolist() == [1, 3, 5]
    assert reference.adaptive_avg_pool(line[:2], (5,)).ravel().tolist() == [0, 0, 0.5, 1, 1]
    assert reference.adaptive_max_pool(line[:2], (5,)).ravel().tolist() == [0, 0, 1, 1, 1]
    plane = np.array([[1.0, 5, 5], [7, 2, 7]])[..., None]
    outputs, indices = reference.adaptive_max_pool_with_indices(plane, (1, 2))
    assert outputs.ravel().tolist() == [7, 7] and indices.ravel().tolist() == [3, 5]


def test_the_first_maximum_or_nan_takes_the_gradient():
    line = np.array([2.0, 2, 1, np.nan, 3, np.nan])[:, None]
    (gradient,) = reference.adaptive_max_pool_vjp(np.array([[10.0], [20.0]]), line, (2,))
    assert gradient.ravel().tolist() == [10, 0, 0, 20, 0, 0]


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("shape", [(3, 4), (9, 1), (None, 13)])
def test_gradient_by_central_differences(name, shape, assert_gradient, rng):
    assert_gradient(
        lambda x: getattr(reference, name)(x, shape),
        lambda c, x: getattr(reference, f"{name}_vjp")(c, x, shape),
        rng.standard_normal((2, 7, 10, 3)),
    )
