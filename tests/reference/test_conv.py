"""The reference convolution by itself: hand-worked values, and its gradient by differences."""

import numpy as np
import pytest

from jaxcnn import reference


def test_hand_worked_values():
    signal = np.array([1.0, 2.0, 4.0])[:, None]
    taps = np.array([1.0, 10.0])[:, None, None]
    assert reference.conv(signal, taps, padding="VALID").ravel().tolist() == [21.0, 42.0]
    assert reference.conv(signal, taps, padding="FULL").ravel().tolist() == [10, 21, 42, 4]
    wide = reference.conv(signal, taps, padding="FULL", flip_kernel=True)
    assert wide.ravel().tolist() == np.convolve([1, 2, 4], [1, 10]).tolist() == [1, 12, 24, 40]


@pytest.mark.parametrize(
    "mode, expected",
    [
        ("zeros", [0, 0, 1, 2, 3, 0]),
        ("reflect", [3, 2, 1, 2, 3, 2]),
        ("replicate", [1, 1, 1, 2, 3, 3]),
        ("circular", [2, 3, 1, 2, 3, 1]),
    ],
)
def test_fills(mode, expected):
    one_tap = np.ones((1, 1, 1))
    signal = np.array([1.0, 2.0, 3.0])[:, None]
    padded = reference.conv(signal, one_tap, padding=((2, 1),), padding_mode=mode)
    assert padded.ravel().tolist() == expected


@pytest.mark.parametrize(
    "options",
    [
        dict(strides=(2, 1), kernel_dilation=(1, 2), feature_group_count=2),
        dict(padding="CIRCULAR", input_dilation=2, flip_kernel=True),
        dict(padding=((3, 0), (1, 2)), padding_mode="reflect", feature_group_count=2),
        dict(padding=((-1, 2), (0, -1)), strides=2),
    ],
)
def test_gradient_by_central_differences(options, rng):
    groups = options.get("feature_group_count", 1)
    args = [rng.standard_normal(shape) for shape in ((2, 5, 6, 4), (3, 2, 4 // groups, 2), (2,))]
    cotangent = rng.standard_normal(reference.conv(*args, **options).shape)
    for i, gradient in enumerate(reference.conv_vjp(cotangent, *args, **options)):
        direction = rng.standard_normal(gradient.shape)
        ends = []
        for step in (1.0, -1.0):  # the map is linear in each argument: any step is exact
            moved = [a + step * direction if j == i else a for j, a in enumerate(args)]
            ends.append((reference.conv(*moved, **options) * cotangent).sum())
        np.testing.assert_allclose((gradient * direction).sum(), (ends[0] - ends[1]) / 2)
