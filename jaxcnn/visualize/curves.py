"""Draws how training went."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

from jaxcnn._checks.naming import named
from jaxcnn.visualize.figures import COLOURS

_MARKS = ("o", "s", "^", "D", "v", "P", "X")


@named
def learning_curves(
    epochs: Sequence[int],
    losses: Mapping[str, ArrayLike],
    accuracies: Mapping[str, ArrayLike],
    *,
    title: str = "Learning curves",
) -> Figure:
    """Draws loss and error rate over the epochs, a line a data split, side by side.

    Both scales are logarithmic, because what matters at the end of training is a small fraction of
    what it was at the start. An accuracy of 1 has no place on such a scale: its point is left out.

    Args:
      epochs: numbers of the epochs, `(n,)`.
      losses: name of the split -> cross-entropy in nats, `(n,)`.
      accuracies: name of the split -> share classified correctly, 0 to 1, `(n,)`.
      title: heading of the figure.

    Returns:
      A new figure with two axes.

    Raises:
      ValueError: there is no epoch, or a line has another length than `epochs`.

    Example:
      >>> figure = learning_curves([1, 2], {"train": [2.3, 0.4]}, {"train": [0.1, 0.9]})
      >>> [ax.get_title() for ax in figure.axes]
      ['loss', 'error rate']
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    errors = {name: 1 - np.asarray(values, np.float64) for name, values in accuracies.items()}
    _draw(left, "loss", epochs, losses)
    left.set_ylabel("cross-entropy (nats)")
    _draw(right, "error rate", epochs, {name: 100 * values for name, values in errors.items()})
    right.set_ylabel("wrongly classified (%)")
    return figure


def _draw(ax, title: str, epochs: Sequence[int], lines: Mapping[str, ArrayLike]) -> None:
    for index, (name, values) in enumerate(lines.items()):
        values = np.asarray(values, np.float64)
        if not len(epochs) or values.shape != (len(epochs),):
            raise ValueError(
                f"`{name}` must hold one number an epoch; received shape "
                f"{values.shape} for {len(epochs)} epochs"
            )
        ax.plot(
            epochs,
            np.where(values > 0, values, np.nan),
            color=COLOURS[index % len(COLOURS)],
            marker=_MARKS[index % len(_MARKS)],
            markersize=4,
            label=name,
        )
    ax.set_title(title)
    ax.set_xlabel("epoch")
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.grid(alpha=0.3, which="both", linewidth=0.6)
    ax.legend()
