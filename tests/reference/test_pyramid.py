"""The reference pyramid pool by itself: hand-worked values, gradients by differences."""

import numpy as np
import pytest

from jaxcnn import reference


def test_hand_worked_values():
    line = np.array([3.0, 1, 2])[:, None]
    assert reference.spatial_pyramid_pool(line, ((1,), (2,))).tolist() == [3, 3, 2]
    mean = reference.spatial_pyramid_pool(line, ((1,), (2,)), reducer="avg")
    assert mean.tolist() == [2, 2, 1.5]


@pytest.mark.parametrize("reducer", ["max", "avg"])
def test_gradient_by_central_differences(reducer, assert_gradient, rng):
    levels = ((1, 1), (2, 3), (9, 2))
    assert_gradient(
        lambda x: reference.spatial_pyramid_pool(x, levels, reducer=reducer),
        lambda c, x: reference.spatial_pyramid_pool_vjp(c, x, levels, reducer=reducer),
        rng.standard_normal((2, 5, 4, 3)),
    )
