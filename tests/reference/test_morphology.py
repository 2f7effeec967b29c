"""The reference morphology by itself: hand-worked values, and its gradients by differences."""

import functools

import numpy as np
import pytest

from jaxcnn import reference


def test_hand_worked_values():
    signal, element = np.array([0.0, 5.0, 1.0, 0.0])[:, None], np.array([-1.0, 0.0, -2.0])[:, None]
    # sums of pixel and element: (0, 3), (-1, 5, -1), (4, 1, -2), (0, 0)
    dilated = reference.grey_dilation(signal, element)
    assert dilated.ravel().tolist() == [3, 5, 4, 0]
    # differences of pixel and reflected element: (3, 6), (5, 5, 5), (7, 4, 1), (6, 0)
    assert reference.grey_erosion(dilated, element).ravel().tolist() == [3, 5, 1, 0]


def test_gradients_are_given_away_whole_and_at_ties_to_the_first(rng):
    flat = np.zeros((1, 4, 5, 2))
    cotangent = rng.standard_normal((1, 2, 4, 2))
    kernel = np.zeros((3, 2, 2))
    d_inputs, d_kernel = reference.grey_dilation_vjp(cotangent, flat, kernel, padding="VALID")
    np.testing.assert_array_equal(d_inputs[:, :2, :4], cotangent)
    np.testing.assert_allclose(d_kernel[0, 0], cotangent.sum((0, 1, 2)))
    assert not d_kernel[1:].any() and not d_kernel[0, 1].any()
    d_inputs, d_kernel = reference.grey_erosion_vjp(cotangent, flat, kernel, padding="VALID")
    np.testing.assert_array_equal(d_inputs[:, :2, :4], cotangent)
    np.testing.assert_allclose(d_kernel[2, 1], -cotangent.sum((0, 1, 2)))


@pytest.mark.parametrize("name", ["grey_dilation", "grey_erosion"])
@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(strides=(2, 1), kernel_dilation=(1, 2), padding="VALID"),
        dict(padding=((2, 0), (1, 1)), strides=2),
    ],
)
def test_gradients_by_central_differences(name, options, rng):
    fn = functools.partial(getattr(reference, name), **options)
    # distinct multiples of 1/64: no two sums tie, and no step of 1e-3 changes a winner
    inputs = rng.permutation(2 * 6 * 5 * 2).reshape(2, 6, 5, 2) / 64
    kernel = rng.permutation(12).reshape(3, 2, 2) / 768 + 1 / 1536
    cotangent = rng.standard_normal(fn(inputs, kernel).shape)
    gradients = getattr(reference, name + "_vjp")(cotangent, inputs, kernel, **options)
    for i, gradient in enumerate(gradients):
        direction = rng.uniform(-1, 1, gradient.shape)
        ends = []
        for step in (1e-4, -1e-4):
            args = [inputs, kernel]
            args[i] = args[i] + step * direction
            ends.append((fn(*args) * cotangent).sum())
        difference = (ends[0] - ends[1]) / 2e-4
        np.testing.assert_allclose((gradient * direction).sum(), difference, rtol=1e-8)
