"""The confusion matrix."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from jaxcnn import visualize


def test_rows_are_true_and_columns_predicted():
    names = ["a", "b", "c"]
    figure = visualize.confusion_matrix([0, 0, 0, 0, 2], [0, 1, 1, 1, 2], class_names=names)
    ax = figure.axes[0]
    np.testing.assert_array_equal(ax.images[0].get_array(), [[25, 75, 0], [0, 0, 0], [0, 0, 100]])
    texts = {text.get_position(): text.get_text() for text in ax.texts}
    assert texts == {(0, 0): "1", (1, 0): "3", (2, 2): "1"}
    assert [label.get_text() for label in ax.get_yticklabels()] == names
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("true class", "predicted class")
    assert ax.get_title() == "Confusion matrix: 40.00% of 5 right"
    assert figure.axes[1].get_ylabel() == "share of the true class (%)"


def test_draws_on_given_axes():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert visualize.confusion_matrix([0], [0], class_names="a", ax=right) is figure
    assert not left.images and right.images


@pytest.mark.parametrize(
    ("labels", "predictions", "error", "message"),
    [
        ([0, 1], [0], ValueError, r"of one length.*received shapes \(2,\) and \(1,\)"),
        ([], [], ValueError, "not empty"),
        ([0, 2], [0, 1], ValueError, r"`class_names` \(=2 names\).*received classes 0 to 2"),
        ([0, -1], [0, 1], ValueError, "received classes -1 to 1"),
        ([0, 1], [0.5, 1.0], TypeError, "`predictions` must be integers; received float64.*argmax"),
    ],
)
def test_errors(labels, predictions, error, message):
    with pytest.raises(error, match=f"confusion_matrix: .*{message}"):
        visualize.confusion_matrix(labels, predictions, class_names=["a", "b"])
