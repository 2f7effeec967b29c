"""Images side by side."""

import numpy as np
import pytest

from jaxcnn import visualize


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_with_its_caption(rng, channels):
    images = rng.integers(0, 256, (5, 6, 4, channels)).astype(np.uint8)
    figure = visualize.image_grid(images, list("abcde"), columns=3, title="Five")
    assert [ax.get_title() for ax in figure.axes] == list("abcde")
    np.testing.assert_array_equal(figure.axes[3].images[0].get_array(), images[3].squeeze())
    assert figure.axes[0].images[0].get_clim() == (0, 255)
    assert figure.axes[4].get_subplotspec().get_geometry()[:2] == (2, 3)
    assert figure.get_suptitle() == "Five"
    figure.canvas.draw()


def test_floats_are_0_to_1():
    figure = visualize.image_grid(np.full((1, 2, 2, 1), 0.5), [""])
    assert figure.axes[0].images[0].get_clim() == (0, 1)


def test_no_images():
    figure = visualize.image_grid(np.zeros((0, 2, 2, 1)), [])
    assert not figure.axes and figure.texts[-1].get_text() == "no images"


@pytest.mark.parametrize(
    ("shape", "captions", "columns", "message"),
    [
        ((2, 3, 3), 2, 8, r"`images` must be .*received \(2, 3, 3\)"),
        ((2, 3, 3, 2), 2, 8, "1 or 3 channels"),
        ((2, 3, 3, 1), 1, 8, "`captions` must be one an image; received 1 for 2 images"),
        ((2, 3, 3, 1), 2, 0, r"`columns` \(=0\) must be 1 or more"),
    ],
)
def test_errors(shape, captions, columns, message):
    with pytest.raises(ValueError, match=f"image_grid: .*{message}"):
        visualize.image_grid(np.zeros(shape), [""] * captions, columns=columns)


def test_mistakes_come_most_certain_first(rng):
    images = rng.integers(0, 256, (4, 5, 6, 1)).astype(np.uint8)
    probabilities = [[0.6, 0.4], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]
    figure = visualize.misclassified(
        images, [1, 0, 1, 0], probabilities, class_names=["cat", "dog"], most=2
    )
    assert figure.get_suptitle() == "3 of 4 images misread, the 2 most certain"
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["true cat\nread dog (90 %)", "true cat\nread dog (70 %)"]
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), images[3].squeeze())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(labels=[1]), r"of one length; received \(2, 3, 3, 1\), \(1,\) and \(2, 2\)"),
        (dict(class_names=["a"]), "`class_names` must hold 2 names; received 1"),
        (dict(most=0), r"`most` \(=0\) must be 1 or more"),
    ],
)
def test_errors_of_mistakes(options, message):
    arguments = dict(images=np.zeros((2, 3, 3, 1)), labels=[0, 1], probabilities=np.eye(2))
    with pytest.raises(ValueError, match=f"misclassified: .*{message}"):
        visualize.misclassified(**(arguments | options))
