"""The reference patches, blocks and dilate: hand-worked values; gradients by differences."""

import numpy as np
import pytest

from jaxcnn import reference


def test_hand_worked_values():
    signal = np.arange(1.0, 6.0)[:, None]
    patches = reference.unfold(signal, (2,), strides=2, padding=1, window_dilation=2)
    # 0 1 2 3 4 5 0 under taps two apart
    assert patches[..., 0].tolist() == [[0, 2], [2, 4], [4, 0]]
    image = reference.fold(patches, (5,), strides=2, padding=1, window_dilation=2)
    assert image.ravel().tolist() == [0, 4, 0, 8, 0]
    assert reference.dilate(signal[:3], (3,)).ravel().tolist() == [1, 0, 0, 2, 0, 0, 3]
    pixels = np.array([[11, 21], [12, 22]])
    assert reference.space_to_depth(pixels, (2,)).tolist() == [[11, 12, 21, 22]]
    assert reference.space_to_depth(pixels, (2,), order="DCR").tolist() == [[11, 21, 12, 22]]
    for order in ("CRD", "DCR"):
        depth = reference.space_to_depth(pixels, (2,), order=order)
        assert reference.depth_to_space(depth, (2,), order=order).tolist() == pixels.tolist()


def test_unfold_times_a_kernel_is_conv(rng):
    inputs, kernel = rng.standard_normal((2, 7, 6, 3)), rng.standard_normal((3, 2, 3, 4))
    patches = reference.unfold(
        inputs, (3, 2), strides=(2, 1), padding="SAME", window_dilation=(1, 2)
    )
    outputs = reference.conv(inputs, kernel, strides=(2, 1), kernel_dilation=(1, 2))
    np.testing.assert_allclose(np.tensordot(patches, kernel, 3), outputs, atol=1e-12)


WINDOWS = dict(strides=(2, 1), padding=((1, 0), (0, 2)), window_dilation=(1, 2))
MAPS = {
    "unfold": ((2, 5, 6, 2), ((3, 2),), WINDOWS),
    "fold": ((2, 2, 6, 3, 2, 2), ((5, 6),), WINDOWS),
    "dilate": ((2, 3, 2, 2), ((2, 3),), {}),
    "space_to_depth": ((2, 4, 6, 3), ((2, 3),), {}),
    "depth_to_space": ((2, 2, 3, 12), ((2, 3),), dict(order="DCR")),
}


@pytest.mark.parametrize("name", MAPS)
def test_gradient_by_central_differences(name, rng):
    shape, arguments, options = MAPS[name]
    fn, vjp = getattr(reference, name), getattr(reference, name + "_vjp")
    inputs, direction = rng.standard_normal(shape), rng.standard_normal(shape)
    cotangent = rng.standard_normal(fn(inputs, *arguments, **options).shape)
    (gradient,) = vjp(cotangent, inputs, *arguments, **options)
    ends = [  # the map is linear: any step is exact
        (fn(inputs + step * direction, *arguments, **options) * cotangent).sum()
        for step in (1.0, -1.0)
    ]
    assert gradient.shape == shape
    np.testing.assert_allclose((gradient * direction).sum(), (ends[0] - ends[1]) / 2)
