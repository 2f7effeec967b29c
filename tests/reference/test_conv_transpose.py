"""The reference transposed convolution by itself: hand-worked values, adjoint, differences."""

import numpy as np
import pytest

from jaxcnn import reference

PIXELS = np.array([1.0, 2.0])[:, None]
TAPS = np.array([1.0, 10.0, 100.0])[:, None, None]


@pytest.mark.parametrize(
    "options, expected",
    [
        (dict(padding=0), [1, 10, 102, 20, 200]),
        (dict(padding=1), [10, 102, 20]),
        (dict(padding=1, output_padding=1), [10, 102, 20, 200]),
        (dict(padding="SAME"), [1, 10, 102, 20]),  # (3 - 2) // 2 = 0 cropped at the start
        (dict(padding="SAME_LOWER"), [10, 102, 20, 200]),
        (dict(padding=((2, 0),), output_shape=4), [102, 20, 200, 0]),
        (dict(padding=((-1, 2),)), [0, 1, 10, 102]),
        (dict(padding=((1, 1),), padding_mode="replicate"), [11, 102, 220]),
        (dict(padding=((1, 1),), padding_mode="circular"), [210, 102, 21]),
        (dict(padding=((1, 1),), padding_mode="reflect"), [10, 303, 20]),
    ],
)
def test_hand_worked_values(options, expected):
    outputs = reference.conv_transpose(PIXELS, TAPS, strides=2, transpose_kernel=True, **options)
    assert outputs.ravel().tolist() == expected


def test_the_two_forms_of_the_kernel(rng):
    inputs, kernel = rng.standard_normal((2, 4, 5, 6)), rng.standard_normal((3, 2, 3, 8))
    outputs = reference.conv_transpose(inputs, kernel, strides=2, feature_group_count=2)
    by_group = [
        reference.conv_transpose(inputs[..., 3 * q : 3 * q + 3], kernel[..., 4 * q : 4 * q + 4],
                                 strides=2)
        for q in range(2)
    ]  # fmt: skip
    np.testing.assert_allclose(outputs, np.concatenate(by_group, -1))
    half = kernel[..., :4]
    flipped = reference.conv_transpose(
        inputs[..., :3], half[::-1, ::-1].swapaxes(2, 3), strides=2, transpose_kernel=True
    )
    np.testing.assert_allclose(by_group[0], flipped)


@pytest.mark.parametrize(
    "options",
    [
        dict(strides=(2, 1), kernel_dilation=(1, 2), feature_group_count=2, padding=1),
        dict(padding="CIRCULAR", strides=2, transpose_kernel=True, feature_group_count=2),
        dict(padding=((3, 0), (1, 2)), padding_mode="reflect", output_padding=(0, 1), strides=2),
        dict(padding=((-1, 2), (0, -1)), strides=2, kernel_dilation=3, output_padding=2),
    ],
)
def test_gradient_by_central_differences(options, rng):
    groups = options.get("feature_group_count", 1)
    channels = (2 // groups, 4) if options.get("transpose_kernel") else (4 // groups, 2)
    args = [rng.standard_normal(shape) for shape in ((2, 5, 6, 4), (3, 2, *channels), (2,))]
    cotangent = rng.standard_normal(reference.conv_transpose(*args, **options).shape)
    for i, gradient in enumerate(reference.conv_transpose_vjp(cotangent, *args, **options)):
        direction = rng.standard_normal(gradient.shape)
        ends = []
        for step in (1.0, -1.0):  # the map is linear in each argument: any step is exact
            moved = [a + step * direction if j == i else a for j, a in enumerate(args)]
            ends.append((reference.conv_transpose(*moved, **options) * cotangent).sum())
        np.testing.assert_allclose((gradient * direction).sum(), (ends[0] - ends[1]) / 2)


def test_the_gradient_for_the_inputs_is_the_convolution(rng):
    options = dict(strides=(2, 3), padding=((1, 0), (2, 1)), kernel_dilation=(2, 1))
    inputs, kernel = rng.standard_normal((2, 4, 3, 5)), rng.standard_normal((3, 4, 2, 5))
    outputs = reference.conv_transpose(inputs, kernel, transpose_kernel=True, **options)
    cotangent = rng.standard_normal(outputs.shape)
    gradient = reference.conv_transpose_vjp(
        cotangent, inputs, kernel, transpose_kernel=True, **options
    )[0]
    np.testing.assert_allclose(gradient, reference.conv(cotangent, kernel, **options))
