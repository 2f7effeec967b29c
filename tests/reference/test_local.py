"""The reference unshared convolution by itself: hand-worked values, gradient by differences."""

import numpy as np
import pytest

from jaxcnn import reference


def test_hand_worked_values():
    signal = np.array([1.0, 2.0, 4.0])[:, None]
    kernel = np.array([[1.0, 10.0], [0.5, 3.0]])[:, :, None, None]
    out = reference.conv_local(signal, kernel, np.array([[0.0], [7.0]]), padding="VALID")
    assert out.ravel().tolist() == [21.0, 1.0 + 12.0 + 7.0]


@pytest.mark.parametrize(
    "options, out",
    [
        (dict(strides=(2, 1), kernel_dilation=(1, 2)), (3, 4)),
        (dict(padding="CIRCULAR", input_dilation=2, strides=2), (5, 4)),
        (dict(padding=((-1, 2), (0, -1)), strides=2), (2, 1)),
    ],
)
@pytest.mark.parametrize("local_bias", [True, False])
def test_gradient_by_central_differences(options, out, local_bias, rng):
    bias_shape = (*out, 2) if local_bias else (2,)
    args = [rng.standard_normal(s) for s in ((2, 5, 4, 3), (*out, 3, 2, 3, 2), bias_shape)]
    cotangent = rng.standard_normal(reference.conv_local(*args, **options).shape)
    for i, gradient in enumerate(reference.conv_local_vjp(cotangent, *args, **options)):
        direction = rng.standard_normal(gradient.shape)
        ends = []
        for step in (1.0, -1.0):  # the map is linear in each argument: any step is exact
            moved = [a + step * direction if j == i else a for j, a in enumerate(args)]
            ends.append((reference.conv_local(*moved, **options) * cotangent).sum())
        np.testing.assert_allclose((gradient * direction).sum(), (ends[0] - ends[1]) / 2)
