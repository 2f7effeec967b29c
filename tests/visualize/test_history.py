"""Histograms over time and the learning-rate finder."""

import numpy as np
import pytest

from jaxcnn import visualize


def test_histograms_run_from_left_to_right(rng):
    counts = {name: rng.integers(0, 50, (12, 5)) for name in ("conv1", "fc")}
    edges = [-1.0, -0.5, 0.0, 0.5, 1.0, 4.0]
    figure = visualize.activation_histograms(counts, edges)
    grids = [ax for ax in figure.axes if ax.images and ax.get_title()]
    assert [ax.get_title() for ax in grids] == ["conv1", "fc"]
    np.testing.assert_allclose(grids[1].images[0].get_array(), np.log1p(counts["fc"]).T)
    (line,) = figure.axes[2].lines
    shares = 100 * counts["conv1"][:, 2] / counts["conv1"].sum(1)
    np.testing.assert_allclose(line.get_ydata(), shares)
    figure.canvas.draw()


def test_finder_marks_the_steepest_rate_and_a_tenth_of_the_least():
    rates = np.logspace(-5, 1, 121)
    losses = 2 - 1.5 / (1 + (1e-2 / rates) ** 2) + rates**2
    losses[-3:] = np.nan
    figure = visualize.learning_rate_finder(rates, losses, smoothing=0)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[2] == "steepest: 1.0e-02"
    least = rates[np.nanargmin(losses)] / 10
    assert labels[3] == f"least / 10: {least:.1e}"
    assert figure.axes[0].get_xscale() == "log"
    figure.canvas.draw()


BAD = [
    (dict(counts={}), "`counts` must hold at least one layer"),
    (dict(edges=[0.0, 2.0, 1.0]), "`edges` must be rising"),
    (dict(counts={"a": np.ones((4, 3))}), r"`a` must be \(steps, 2\).*\(4, 3\)"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_errors_of_histograms(options, message):
    arguments = dict(counts={"a": np.ones((4, 2))}, edges=[0.0, 1.0, 2.0])
    with pytest.raises(ValueError, match=f"activation_histograms: .*{message}"):
        visualize.activation_histograms(**(arguments | options))


BAD_FINDER = [
    (dict(losses=np.ones(3)), r"one number a step; received \(4,\) and \(3,\)"),
    (dict(rates=[1.0, 2, 2, 3]), "`rates` must be positive and rising"),
    (dict(smoothing=1), r"`smoothing` \(=1\)"),
    (dict(losses=[1.0, np.nan, np.inf, 2]), "at least three finite numbers; got 2"),
]


@pytest.mark.parametrize(("options", "message"), BAD_FINDER)
def test_errors_of_the_finder(options, message):
    arguments = dict(rates=[1.0, 2, 3, 4], losses=[4.0, 3, 2, 1])
    with pytest.raises(ValueError, match=f"learning_rate_finder: .*{message}"):
        visualize.learning_rate_finder(**(arguments | options))
