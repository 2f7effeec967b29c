"""The reference global pools by themselves: hand-worked values, gradients by differences."""

import numpy as np
import pytest

from jaxcnn import reference

POOLS = ("global_avg_pool", "global_max_pool")


def test_hand_worked_values():
    image = np.array([[[1.0, -1], [2, -2]], [[9, -9], [4, -4]]])[None]
    assert reference.global_avg_pool(image).tolist() == [[4, -4]]
    assert reference.global_max_pool(image).tolist() == [[9, -1]]
    (gradient,) = reference.global_max_pool_vjp(np.array([[10.0, 20.0]]), image)
    assert gradient[0, ..., 0].tolist() == [[0, 0], [10, 0]]
    assert gradient[0, ..., 1].tolist() == [[20, 0], [0, 0]]


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize(
    "options", [dict(), dict(spatial_axes=(-2, 0), keepdims=True), dict(spatial_axes=1)]
)
def test_gradient_by_central_differences(name, options, assert_gradient, rng):
    assert_gradient(
        lambda x: getattr(reference, name)(x, **options),
        lambda c, x: getattr(reference, f"{name}_vjp")(c, x, **options),
        rng.standard_normal((2, 5, 4, 3)),
    )
