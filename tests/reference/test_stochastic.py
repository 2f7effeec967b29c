"""The reference stochastic pool by itself: hand-worked values, gradients by differences."""

import numpy as np
import pytest

from jaxcnn import reference


def test_hand_worked_values():
    line = np.array([1.0, 3.0, 0.0, 4.0, -2.0])[:, None]
    for u, expected in [(0.1, 1), (0.2, 3), (0.4, 3), (0.6, 4), (0.99, 4)]:
        drawn = reference.stochastic_pool(line, (5,), samples=np.array([[u]]))
        assert drawn.item() == expected
    mean = reference.stochastic_pool(line, (5,), deterministic=True)
    assert mean.item() == (1 + 9 + 16) / 8


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        dict(strides=2),
        dict(strides=(1, 3), padding=1, window_dilation=(2, 1)),
        dict(strides=3, ceil_mode=True),
    ],
)
def test_gradient_by_central_differences(deterministic, options, assert_gradient, rng):
    inputs = rng.uniform(-0.5, 2, (2, 7, 8, 3))
    like = reference.stochastic_pool(inputs, (3, 2), deterministic=True, **options)
    given = dict(options, deterministic=deterministic, samples=rng.random(like.shape))
    assert_gradient(
        lambda x: reference.stochastic_pool(x, (3, 2), **given),
        lambda c, x: reference.stochastic_pool_vjp(c, x, (3, 2), **given),
        inputs,
    )
