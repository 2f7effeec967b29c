"""The reference depthwise and separable convolution by themselves."""

import numpy as np
import pytest

from jaxcnn import reference


def test_hand_worked_values():
    signal = np.array([[1.0, 2.0], [3.0, 4.0]])
    taps = np.array([[[1.0, 10.0], [1.0, 100.0]], [[0.5, 0.0], [2.0, 1.0]]])
    out = reference.depthwise_conv(signal, taps, padding="VALID")
    assert out.tolist() == [[1 + 1.5, 10.0, 2 + 8.0, 200 + 4.0]]
    mix = np.array([[[1.0], [2.0], [3.0], [4.0]]])
    mixed = reference.separable_conv(signal, taps, mix, np.array([0.5]), padding="VALID")
    assert mixed.tolist() == [[2.5 + 20 + 30 + 816 + 0.5]]


@pytest.mark.parametrize(
    "options",
    [
        dict(strides=(2, 1), kernel_dilation=(1, 2)),
        dict(padding="CIRCULAR", input_dilation=2, flip_kernel=True),
        dict(padding=((-1, 2), (0, -1)), strides=2),
    ],
)
def test_gradients_by_central_differences(options, rng):
    shapes = (2, 5, 6, 3), (3, 2, 3, 2), (1, 1, 6, 4)
    inputs, kernel, mix = (rng.standard_normal(shape) for shape in shapes)
    for name, args in (
        ("depthwise_conv", [inputs, kernel, rng.standard_normal(6)]),
        ("separable_conv", [inputs, kernel, mix, rng.standard_normal(4)]),
    ):
        forward, vjp = getattr(reference, name), getattr(reference, name + "_vjp")
        cotangent = rng.standard_normal(forward(*args, **options).shape)
        for i, gradient in enumerate(vjp(cotangent, *args, **options)):
            direction = rng.standard_normal(gradient.shape)
            ends = []
            for step in (1.0, -1.0):  # the map is linear in each argument: any step is exact
                moved = [a + step * direction if j == i else a for j, a in enumerate(args)]
                ends.append((forward(*moved, **options) * cotangent).sum())
            np.testing.assert_allclose((gradient * direction).sum(), (ends[0] - ends[1]) / 2)
