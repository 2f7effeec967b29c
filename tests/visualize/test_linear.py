"""The convolution as a matrix, and the overlaps of its transpose."""

import itertools

import jax
import numpy as np
import pytest

from jaxcnn import functional as F
from jaxcnn import visualize


def matrix(figure):
    return figure.axes[0].images[0].get_array()


def test_a_line_gives_a_toeplitz_matrix():
    drawn = matrix(visualize.conv_matrix([1.0, 2.0, 3.0], (5,)))
    expected = [[1, 2, 3, 0, 0], [0, 1, 2, 3, 0], [0, 0, 1, 2, 3]]
    np.testing.assert_array_equal(drawn.filled(0), expected)
    np.testing.assert_array_equal(drawn.mask, np.array(expected) == 0)


def test_a_weight_of_zero_is_an_entry():
    assert matrix(visualize.conv_matrix([0.0, 2.0], (3,))).count() == 4


@pytest.mark.parametrize("options", [{}, dict(strides=2, padding="FULL", kernel_dilation=2)])
def test_the_matrix_computes_the_convolution_and_its_transpose(rng, options):
    kernel, x = rng.normal(size=(2, 3)), rng.normal(size=(5, 6))
    weights = jax.device_put(kernel[..., None, None])
    options = {"padding": "VALID", **options}
    outputs = np.asarray(F.conv(x[..., None], weights, **options))[..., 0]
    figure = visualize.conv_matrix(kernel, (5, 6), **options)
    drawn = matrix(figure).filled(0)
    np.testing.assert_allclose(drawn @ x.ravel(), outputs.ravel(), rtol=1e-12)
    turned = visualize.conv_matrix(kernel, (5, 6), transposed=True, **options)
    y = rng.normal(size=outputs.shape)
    back = F.conv_transpose(
        y[..., None], weights, transpose_kernel=True, output_shape=(5, 6), **options
    )
    np.testing.assert_allclose(matrix(turned).filled(0) @ y.ravel(), np.ravel(back), rtol=1e-11)
    figure.canvas.draw()
    turned.canvas.draw()


@pytest.mark.parametrize(("size", "strides"), [*itertools.product((2, 3, 4), (1, 2))])
def test_overlaps_are_counted(size, strides):
    counts = matrix(visualize.overlap_counts((4, 3), (size, 2), strides=strides))
    expected = np.zeros(counts.shape, int)
    for i, j, a, b in itertools.product(range(4), range(3), range(size), range(2)):
        expected[i * strides + a, j * strides + b] += 1
    np.testing.assert_array_equal(counts, expected)


def test_overlaps_of_a_line():
    figure = visualize.overlap_counts((3,), (3,), strides=2, title="Every other")
    assert matrix(figure).tolist() == [[1, 1, 2, 1, 2, 1, 1]]
    assert figure.axes[0].get_title() == "Every other"
    figure.canvas.draw()


def test_errors():
    with pytest.raises(ValueError, match="conv_matrix: .*must both have one axis or both two"):
        visualize.conv_matrix(np.ones((2, 2)), (5,))
    with pytest.raises(ValueError, match="overlap_counts: .*must both have one axis or both two"):
        visualize.overlap_counts((5,), (2, 2))
    with pytest.raises(ValueError, match="conv: `kernel`.*spans 4"):
        visualize.conv_matrix(np.ones(4), (3,))
