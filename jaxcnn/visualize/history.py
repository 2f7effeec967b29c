"""Draws what happens inside a network while it learns."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import ArrayLike
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcnn._checks.naming import named
from jaxcnn.visualize.figures import COLOURS, axes_of


@named
def activation_histograms(
    counts: Mapping[str, ArrayLike],
    edges: ArrayLike,
    *,
    title: str = "Activations over time",
) -> Figure:
    """Draws the histogram of each layer's activations, step after step, from left to right.

    Colour is the logarithm of 1 + count. In a network that learns well the band widens smoothly; a
    band that grows and collapses again and again is the sign of too large a learning rate. Below
    stands the share of activations in the bin of zero, of units that do nothing.

    Args:
      counts: name of the layer -> `(steps, bins)`, the histogram at each step.
      edges: of the bins, `(bins + 1,)`, rising.
      title: heading.

    Returns:
      A new figure, a column a layer.

    Raises:
      ValueError: there is no layer, or shapes disagree.

    Example:
      >>> figure = activation_histograms({"conv1": np.ones((20, 5))}, np.linspace(-1, 4, 6))
      >>> [axes.get_ylabel() for axes in figure.axes]
      ['activation', 'in the bin of zero (%)', 'log(1 + count)']

    References:
      J. Howard and S. Gugger, Deep learning for coders with fastai and PyTorch, 2020, chapter 13.
    """
    limits = np.asarray(edges, np.float64)
    arrays = {name: np.asarray(array, np.float64) for name, array in counts.items()}
    if not arrays:
        raise ValueError("`counts` must hold at least one layer")
    if limits.ndim != 1 or len(limits) < 2 or not (np.diff(limits) > 0).all():
        raise ValueError(f"`edges` must be rising, (bins + 1,); received {limits.shape}")
    for name, array in arrays.items():
        if array.ndim != 2 or not len(array) or array.shape[1] != len(limits) - 1:
            raise ValueError(
                f"`{name}` must be (steps, {len(limits) - 1}), one bin less "
                f"than edges; received {array.shape}"
            )
    zero = int(np.clip(np.searchsorted(limits, 0, side="right") - 1, 0, len(limits) - 2))
    figure = Figure(figsize=(max(4.6, 2.7 * len(arrays) + 0.9), 4.4), layout="constrained")
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(2, len(arrays), squeeze=False, height_ratios=[2, 1], sharex="col")
    most = max(float(np.log1p(array).max()) for array in arrays.values())
    image = None
    for number, (name, array) in enumerate(arrays.items()):
        above, below = grid[:, number]
        steps = len(array)
        image = above.imshow(
            np.log1p(array).T,
            origin="lower",
            aspect="auto",
            cmap="cividis",
            vmin=0,
            vmax=most,
            extent=(0.5, steps + 0.5, 0, len(limits) - 1),
            interpolation="nearest",
        )
        # Bins may differ in width: their edges are named, a few of them.
        ticks = np.unique(np.linspace(0, len(limits) - 1, 6).astype(int))
        above.set_yticks(ticks, [f"{limits[tick]:.3g}" for tick in ticks])
        above.set_title(name, fontsize=10)
        share = 100 * array[:, zero] / np.maximum(array.sum(axis=1), 1)
        below.plot(np.arange(1, steps + 1), share, color=COLOURS[1])
        below.set_ylim(0, 100)
        below.set_xlabel("training step")
        below.grid(alpha=0.3)
    grid[0, 0].set_ylabel("activation")
    grid[1, 0].set_ylabel("in the bin of zero (%)", fontsize=8)
    if image is not None:
        bar = figure.colorbar(image, ax=grid[0].tolist(), shrink=0.9)
        bar.set_label("log(1 + count)")
    return figure


@named
def learning_rate_finder(
    rates: ArrayLike,
    losses: ArrayLike,
    *,
    smoothing: float = 0.8,
    title: str = "Learning-rate finder",
    ax: Axes | None = None,
) -> Figure:
    """Draws the loss over a learning rate that grew from step to step, and what it suggests.

    The loss is smoothed by an exponential mean. Two rates are marked: where it falls most steeply,
    and a tenth of the one where it is least; a good peak for a schedule lies between them.

    Args:
      rates: learning rate of each step, positive and rising, `(n,)`.
      losses: loss of each step, `(n,)`; what is not finite is left out.
      smoothing: weight of the past in the mean, 0 up to but not 1.
      title: heading.
      ax: axes to draw on; a new figure is made when None.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: fewer than three finite losses, or shapes or values out of range.

    Example:
      >>> rates = np.logspace(-4, 0, 50)
      >>> figure = learning_rate_finder(rates, 2 / (1 + 30 * rates) + rates**2)
      >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()][:2]
      ['loss of a step', 'smoothed']

    References:
      L. N. Smith, Cyclical learning rates for training neural networks, 2017.
    """
    x, y = np.asarray(rates, np.float64), np.asarray(losses, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(
            f"`rates` and `losses` must be one number a step; received {x.shape} and {y.shape}"
        )
    if not (x > 0).all() or not (np.diff(x) > 0).all():
        raise ValueError("`rates` must be positive and rising")
    if not 0 <= smoothing < 1:
        raise ValueError(f"`smoothing` (={smoothing}) must be 0 or more and below 1")
    finite = np.isfinite(y)
    x, y = x[finite], y[finite]
    if len(x) < 3:
        raise ValueError(f"`losses` must hold at least three finite numbers; got {len(x)}")
    smooth = _smoothed(y, smoothing)
    least = int(smooth.argmin())
    falling = np.gradient(smooth, np.log(x))[: least + 1]
    steepest = x[int(falling.argmin())]
    figure, axes = axes_of(ax, (6.4, 4.0))
    axes.plot(x, y, color=COLOURS[5], linewidth=1, label="loss of a step")
    axes.plot(x, smooth, color=COLOURS[0], linewidth=2, label="smoothed")
    axes.axvline(steepest, color=COLOURS[1], linestyle="--", label=f"steepest: {steepest:.1e}")
    axes.axvline(
        x[least] / 10, color=COLOURS[2], linestyle=":", label=f"least / 10: {x[least] / 10:.1e}"
    )
    axes.set_xscale("log")
    low, high = smooth.min(), smooth[0]
    axes.set_ylim(low - 0.1 * (high - low + 1e-9), high + 0.6 * (high - low + 1e-9))
    axes.set_xlabel("learning rate")
    axes.set_ylabel("cross-entropy (nats)")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    return figure


def _smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """An exponential mean that does not lean towards 0 at the start."""
    mean, result = 0.0, []
    for step, value in enumerate(values, start=1):
        mean = weight * mean + (1 - weight) * value
        result.append(mean / (1 - weight**step))
    return np.array(result)
