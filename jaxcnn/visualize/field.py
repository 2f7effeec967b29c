"""Draws the receptive field of a unit: which pixels it can see, and how much each moves it."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jaxcnn import analysis
from jaxcnn._checks.naming import named
from jaxcnn._modules.still import still
from jaxcnn.analysis import effective
from jaxcnn.visualize.figures import axes_of, times


@named
def receptive_field(
    function: Callable[[jax.Array], jax.Array],
    inputs: ArrayLike,
    *,
    layer: str | None = None,
    unit: Sequence[int] | None = None,
    channel: int | None = None,
    title: str = "Receptive field",
    ax: Axes | None = None,
) -> Figure:
    """Draws the receptive field of one unit of any model on the input, theoretical and effective.

    The theoretical field holds the pixels that can change the unit, as `analysis.receptive_field`
    reads them in the Jaxpr. Where that does not know an operation, a NaN in a row or a column of
    the input tells: it reaches the unit if the unit sees it. The effective field is the gradient's
    energy,

        E[p] = mean over n of sum over c of (d unit / d x[n, p, c])^2

    of `analysis.effective_field`, which is large in the middle and dies away towards the edge.

    Args:
      function: from images `(n, height, width, channels)` to maps `(n, *out, features)`; a module
        runs in evaluation, and stays as it is.
      inputs: images to average over, `(n, height, width, channels)`.
      layer: path of the layer of `function` whose unit it is, as `analysis.feature_maps` names it;
        None for what all of it gives.
      unit: the unit's place among `out`; None for the one in the middle.
      channel: the unit's feature; None for the sum of all.
      title: heading; the two extents are added to it.
      ax: axes to draw on; a new figure is made when None.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: the inputs are no images, or there is no such layer or unit, or it sees no
        pixel.
      TypeError: `function` can't be called, or is one that changes a module which it holds.

    Example:
      >>> from jaxcnn import functional as F
      >>> kernel = jnp.ones((3, 3, 1, 1))
      >>> figure = receptive_field(
      ...     lambda x: F.conv(F.conv(x, kernel), kernel), np.ones((1, 9, 9, 1))
      ... )
      >>> print(figure.axes[0].get_title())
      Receptive field, unit (4, 4): 5×5 pixels,
      95 % of the energy in 18 of them

    References:
      W. Luo, Y. Li, R. Urtasun and R. Zemel, Understanding the effective receptive field in deep
      convolutional neural networks, 2016.
    """
    images = jnp.asarray(inputs)
    if images.ndim != 4 or 0 in images.shape or not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(
            f"`inputs` must be (n, height, width, channels), floats, not empty; received "
            f"{images.dtype} {images.shape}"
        )
    if layer is not None:
        network, name = function, layer
        function = lambda x: analysis.feature_maps(network, x, layers=[name])[name]  # noqa: E731
    run = still("function", function)
    place = effective.place_of(jax.eval_shape(run, images), unit, channel)
    energy = np.asarray(
        effective.effective_field(function, images, unit=place, channel=channel), np.float64
    )

    top, bottom, left, right = _theoretical(function, images, place)
    height, width = images.shape[1:3]
    figure, axes = axes_of(ax, (5.6, 4.8 * height / width + 0.4))
    largest = energy.max()
    image = axes.imshow(energy / largest if largest else energy, cmap="cividis", vmin=0, vmax=1)
    axes.add_patch(
        Rectangle(
            (left - 0.5, top - 0.5),
            right - left + 1,
            bottom - top + 1,
            fill=False,
            edgecolor="#FFFFFF",
            linewidth=2.2,
            linestyle="--",
            label="theoretical field",
        )
    )
    axes.set_xlabel("column (pixels)")
    axes.set_ylabel("row (pixels)")
    legend = axes.legend(loc="upper right", fontsize=8, facecolor="#33415C", labelcolor="white")
    legend.set_zorder(5)
    told = f"{title}, unit {place}" if place else title
    extent = times((bottom - top + 1, right - left + 1))
    told += f": {extent} pixels,\n95 % of the energy in {_most(energy)} of them"
    axes.set_title(told, fontsize=10)
    bar = figure.colorbar(image, ax=axes, shrink=0.85)
    bar.set_label("gradient energy (share of the largest)")
    return figure


def _theoretical(
    function: Callable[[jax.Array], Any], images: jax.Array, place: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """First and last row, first and last column that the unit sees."""
    height, width = images.shape[1:3]
    try:
        field = analysis.receptive_field(function, images)
    except (TypeError, ValueError):
        return _by_not_a_number(still("function", function), images, place)
    if field is None:
        return 0, height - 1, 0, width - 1
    (top, bottom), (left, right) = field.sees(place)
    if top == bottom or left == right:
        raise ValueError("`function` must depend on its inputs; the unit sees none")
    return top, bottom - 1, left, right - 1


def _by_not_a_number(
    run: Callable[[jax.Array], Any], images: jax.Array, place: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """The same without the Jaxpr; what drops a NaN hides what it sees."""
    height, width = images.shape[1:3]

    @jax.jit
    def value(x: jax.Array) -> Any:
        return effective.at(run(x), place, None)

    one = np.asarray(images)[:1]
    rows = np.eye(height, dtype=bool)[:, :, None, None]
    columns = np.eye(width, dtype=bool)[:, None, :, None]
    found = []
    for mask in (rows, columns):
        probes = np.where(mask, np.nan, one).astype(one.dtype)
        seen = np.flatnonzero(np.isnan(value(jax.device_put(probes))))
        if not seen.size:
            raise ValueError("`function` must depend on its inputs; the unit sees none")
        found += [int(seen[0]), int(seen[-1])]
    return found[0], found[1], found[2], found[3]


def _most(energy: np.ndarray, share: float = 0.95) -> int:
    """The smallest number of pixels that hold `share` of the energy."""
    ordered = np.sort(energy.ravel())[::-1].cumsum()
    return int(np.searchsorted(ordered, share * ordered[-1])) + 1
