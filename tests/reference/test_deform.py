"""The reference deformable convolution by itself: hand-worked values, gradient by differences."""

import numpy as np
import pytest

from jaxcnn import reference


def test_hand_worked_values():
    image = np.array([[1.0, 2.0], [4.0, 8.0]])[..., None]
    one_tap = np.ones((1, 1, 1, 1))
    moves = np.array([[[0.5, 0.5], [0.0, 0.25]], [[-0.5, 0.0], [1.5, 0.0]]])
    out = reference.deform_conv(image, one_tap, moves)
    # the middle of all four; a quarter towards the zero at the right; half way up; 1.5 below
    assert out[..., 0].tolist() == [[3.75, 1.5], [2.5, 0.0]]
    mask = np.array([[[2.0], [1.0]], [[0.0], [1.0]]])
    masked = reference.deform_conv(image, one_tap, moves, mask=mask, bias=np.array([1.0]))
    assert masked[..., 0].tolist() == [[8.5, 2.5], [1.0, 1.0]]


def test_at_a_whole_position_the_gradient_is_the_one_from_the_right():
    signal, one_tap = np.array([[1.0], [3.0], [9.0]]), np.ones((1, 1, 1))
    gradient = reference.deform_conv_vjp(np.ones((3, 1)), signal, one_tap, np.zeros((3, 1)))[2]
    assert gradient.ravel().tolist() == [2.0, 6.0, -9.0]


@pytest.mark.parametrize(
    "options, out",
    [
        (dict(strides=(2, 1), kernel_dilation=(1, 2), offset_group_count=2), (2, 4)),
        (dict(padding=((1, 0), (-1, 2)), feature_group_count=2, offset_group_count=4), (4, 6)),
    ],
)
def test_gradient_by_central_differences(options, out, rng):
    groups, offset_groups = options.get("feature_group_count", 1), options["offset_group_count"]
    entries = offset_groups * 6
    moves = rng.integers(-2, 3, (2, *out, entries * 2)) + rng.uniform(
        0.1, 0.9, (2, *out, 2 * entries)
    )
    args = dict(
        inputs=rng.standard_normal((2, 5, 6, 4)),
        kernel=rng.standard_normal((3, 2, 4 // groups, 6)),
        offsets=moves,
        bias=rng.standard_normal(6),
        mask=rng.random((2, *out, entries)),
    )
    cotangent = rng.standard_normal((2, *out, 6))
    gradients = reference.deform_conv_vjp(cotangent, **args, **options)
    for name, gradient in zip(args, gradients, strict=True):
        direction = rng.standard_normal(gradient.shape)
        step = 1e-6 if name == "offsets" else 1.0  # linear in all but the offsets
        ends = []
        for sign in (1.0, -1.0):
            moved = args | {name: args[name] + sign * step * direction}
            ends.append((reference.deform_conv(**moved, **options) * cotangent).sum())
        by_differences = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose((gradient * direction).sum(), by_differences, rtol=1e-7)
