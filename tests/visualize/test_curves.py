"""Learning curves."""

import matplotlib
import numpy as np
import pytest

from jaxcnn import visualize


def test_lines_units_and_legend():
    figure = visualize.learning_curves(
        [1, 2, 3],
        {"train": [2.0, 0.5, 0.1], "test": [1.0, 0.6, 0.3]},
        {"train": [0.3, 0.9, 1.0], "test": [0.5, 0.8, 0.9]},
        title="Some run",
    )
    loss, error = figure.axes
    np.testing.assert_array_equal(loss.lines[1].get_ydata(), [1.0, 0.6, 0.3])
    np.testing.assert_allclose(error.lines[0].get_ydata(), [70, 10, np.nan])
    assert loss.get_ylabel() == "cross-entropy (nats)" and error.get_xlabel() == "epoch"
    assert [text.get_text() for text in error.get_legend().get_texts()] == ["train", "test"]
    assert loss.lines[0].get_marker() != loss.lines[1].get_marker()
    assert figure.get_suptitle() == "Some run"


def test_nothing_global_is_touched():
    backend, parameters = matplotlib.get_backend(auto_select=False), parameters_now()
    visualize.learning_curves([1], {"a": [1.0]}, {"a": [0.5]}).canvas.draw()
    assert matplotlib.get_backend(auto_select=False) == backend
    assert parameters_now() == parameters


def parameters_now():
    """All of matplotlib's but the backend, which is chosen when it is looked at."""
    return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}


@pytest.mark.parametrize(("epochs", "values"), [([], []), ([1, 2], [0.5])])
def test_lengths(epochs, values):
    with pytest.raises(ValueError, match="learning_curves: `train` must hold one number an epoch"):
        visualize.learning_curves(epochs, {"train": values}, {})
