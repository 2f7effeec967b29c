"""The reference resize_conv by itself: hand-worked values, and its gradient by differences."""

import numpy as np
import pytest

from jaxcnn import reference

ONE_TAP = np.ones((1, 1, 1))


@pytest.mark.parametrize(
    "options, expected",
    [
        (dict(), [0, 0, 6, 6, 3, 3]),
        (dict(method="linear"), [0, 1.5, 4.5, 5.25, 3.75, 3]),
        (dict(method="linear", scale=3), [0, 0, 2, 4, 6, 5, 4, 3, 3]),
        (dict(resized_shape=5), [0, 0, 6, 3, 3]),
        (dict(resized_shape=5, method="linear"), [0, 2.4, 6, 4.2, 3]),
    ],
)
def test_hand_worked_values(options, expected):
    pixels = np.array([0.0, 6.0, 3.0])[:, None]
    outputs = reference.resize_conv(pixels, ONE_TAP, **options)
    np.testing.assert_allclose(outputs.ravel(), expected, atol=1e-12)


@pytest.mark.parametrize("method", ["nearest", "linear"])
def test_gradient_by_central_differences(method, rng):
    options = dict(resized_shape=(7, 8), method=method, padding=1, padding_mode="reflect")
    args = [rng.standard_normal(shape) for shape in ((2, 5, 4, 3), (3, 2, 3, 2), (2,))]
    cotangent = rng.standard_normal(reference.resize_conv(*args, **options).shape)
    for i, gradient in enumerate(reference.resize_conv_vjp(cotangent, *args, **options)):
        direction = rng.standard_normal(gradient.shape)
        ends = []
        for step in (1.0, -1.0):  # the map is linear in each argument: any step is exact
            moved = [a + step * direction if j == i else a for j, a in enumerate(args)]
            ends.append((reference.resize_conv(*moved, **options) * cotangent).sum())
        np.testing.assert_allclose((gradient * direction).sum(), (ends[0] - ends[1]) / 2)
