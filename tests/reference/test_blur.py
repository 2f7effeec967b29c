"""The reference blur pool by itself: hand-worked values, gradients by differences."""

import numpy as np
import pytest

from jaxcnn import reference


def test_hand_worked_values():
    line = np.array([4.0, 0, 8, 0])[:, None]
    assert reference.blur_pool(line, (3,)).ravel().tolist() == [2, 3, 4, 4]
    assert reference.blur_pool(line, (2,), 2).ravel().tolist() == [2, 4]
    zeros = reference.blur_pool(line, (3,), padding_mode="zeros")
    assert zeros.ravel().tolist() == [2, 3, 4, 2]


@pytest.mark.parametrize(
    "options",
    [
        dict(strides=2),
        dict(padding=((4, 3), (0, 5)), padding_mode="reflect"),
        dict(padding="SAME", padding_mode="circular", strides=(2, 3)),
        dict(padding=2, padding_mode="zeros"),
    ],
)
def test_gradient_by_central_differences(options, assert_gradient, rng):
    assert_gradient(
        lambda x: reference.blur_pool(x, (4, 3), **options),
        lambda c, x: reference.blur_pool_vjp(c, x, (4, 3), **options),
        rng.standard_normal((2, 5, 6, 3)),
        step=1.0,
    )
