"""Draws which class is taken for which."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from jaxcnn._checks.naming import named
from jaxcnn.visualize.figures import axes_of


@named
def confusion_matrix(
    labels: ArrayLike,
    predictions: ArrayLike,
    *,
    class_names: Sequence[str],
    title: str = "Confusion matrix",
    ax: Axes | None = None,
) -> Figure:
    """Draws how many examples of each true class were given each predicted class.

        counts[i, j] = number of n with labels[n] = i and predictions[n] = j

    A field is shaded by its share of the true class, so that classes of unequal size compare; the
    numbers are counts, and zeros are left blank.

    Args:
      labels: true classes, integers, `(n,)`.
      predictions: predicted classes, integers, `(n,)`.
      class_names: a name a class, in the order of the integers.
      title: heading; the share of right answers is added to it.
      ax: axes to draw on; a new figure is made when None.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: the two differ in length, are empty, or hold a class without a name.
      TypeError: they are not integers.

    Example:
      >>> figure = confusion_matrix([0, 1, 1], [0, 1, 0], class_names=["cat", "dog"])
      >>> figure.axes[0].get_xlabel()
      'predicted class'
    """
    true, predicted = np.asarray(labels), np.asarray(predictions)
    count = len(class_names)
    _check(true, predicted, count)
    counts = np.zeros((count, count), np.int64)
    np.add.at(counts, (true, predicted), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    side = max(4.0, 0.48 * count + 2)
    figure, axes = axes_of(ax, (side + 0.8, side))
    # By the square root, or single mistakes among a hundred would be as white as none.
    image = axes.imshow(100 * shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=100))
    for row, column in zip(*np.nonzero(counts), strict=True):
        axes.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            color="white" if shares[row, column] > 0.3 else "black",
        )
    axes.set_xticks(range(count), class_names)
    axes.set_yticks(range(count), class_names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(f"{title}: {np.trace(counts) / len(true):.2%} of {len(true):,} right")
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label("share of the true class (%)")
    return figure


def _check(true: np.ndarray, predicted: np.ndarray, count: int) -> None:
    for name, array in (("labels", true), ("predictions", predicted)):
        if array.size and not np.issubdtype(array.dtype, np.integer):
            raise TypeError(
                f"`{name}` must be integers; received {array.dtype}; "
                "for probabilities take .argmax(-1)"
            )
    if true.ndim != 1 or true.shape != predicted.shape or not true.size:
        raise ValueError(
            "`labels` and `predictions` must be 1-D, of one length and not "
            f"empty; received shapes {true.shape} and {predicted.shape}"
        )
    low, high = (
        min(int(true.min()), int(predicted.min())),
        max(int(true.max()), int(predicted.max())),
    )
    if low < 0 or high >= count:
        raise ValueError(
            f"`class_names` (={count} names) must name every class; received "
            f"classes {low} to {high}"
        )
