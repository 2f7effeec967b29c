"""The reference partial convolution by itself: hand-worked values, gradient by differences."""

import numpy as np
import pytest

from jaxcnn import reference


def test_hand_worked_values():
    signal = np.array([1.0, np.nan, 4.0, np.nan, np.nan, np.nan])[:, None]
    taps, mask = np.array([1.0, 10.0, 100.0])[:, None, None], ~np.isnan(signal)
    out, new_mask = reference.partial_conv(signal, taps, mask, np.array([0.5]), padding="VALID")
    # 1 and 400 with one pixel of three missing; 40 and 4 with two missing; nothing
    assert out.ravel().tolist() == [401 * 1.5 + 0.5, 40 * 3 + 0.5, 4 * 3 + 0.5, 0.0]
    assert new_mask.ravel().tolist() == [True, True, True, False]


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize(
    "options",
    [
        dict(strides=(2, 1), kernel_dilation=(1, 2), feature_group_count=2),
        dict(padding="CIRCULAR", input_dilation=2, flip_kernel=True),
    ],
)
def test_gradient_by_central_differences(options, channels, rng):
    groups = options.get("feature_group_count", 1)
    inputs, kernel = rng.standard_normal((2, 5, 6, 4)), rng.standard_normal((3, 2, 4 // groups, 2))
    mask = (rng.random((2, 5, 6, channels)) < 0.3).astype(float)
    args = [inputs, kernel, mask, rng.standard_normal(2)]
    cotangent = rng.standard_normal(reference.partial_conv(*args, **options)[0].shape)
    for i, gradient in enumerate(reference.partial_conv_vjp(cotangent, *args, **options)):
        direction = rng.standard_normal(gradient.shape) * (mask if i == 2 else 1)
        ends = []
        for step in (0.5, -0.5):  # the map is linear in each argument: any step is exact
            moved = [a + step * direction if j == i else a for j, a in enumerate(args)]
            ends.append((reference.partial_conv(*moved, **options)[0] * cotangent).sum())
        by_differences = ends[0] - ends[1]
        np.testing.assert_allclose((gradient * direction).sum(), by_differences, atol=1e-10)
