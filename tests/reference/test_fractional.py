"""The reference fractional pool by itself: hand-worked values, gradients by differences."""

import numpy as np
import pytest

from jaxcnn import reference


def test_hand_worked_values():
    line, u = np.array([5.0, 1, 4, 4, 0, 2, 9, 3, 6])[:, None], np.array([[0.5]])
    # alpha = 7 / 4: floor of 0.875, 2.625, 4.375, 6.125; the last start is 9 - 2
    outputs, indices = reference.fractional_max_pool_with_indices(line, (2,), (5,), samples=u)
    assert outputs.ravel().tolist() == [5, 4, 2, 9, 6]
    assert indices.ravel().tolist() == [0, 2, 5, 6, 8]


@pytest.mark.parametrize("window, counts", [((2, 2), (5, 7)), ((3, 1), (5, 10)), ((7, 4), (1, 4))])
def test_gradient_by_central_differences(window, counts, assert_gradient, rng):
    samples = rng.random((2, 3, 2))
    assert_gradient(
        lambda x: reference.fractional_max_pool(x, window, counts, samples=samples),
        lambda c, x: reference.fractional_max_pool_vjp(c, x, window, counts, samples=samples),
        rng.standard_normal((2, 7, 10, 3)),
    )
