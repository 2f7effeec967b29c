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

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn._modules.still import still
from jaxcnn.visualize.figures import axes_of, times


@named
def receptive_field(
    function: Callable[[jax.Array], jax.Array],
    inputs: ArrayLike,
    *,
    unit: Sequence[int] | None = None,
    channel: int | None = None,
    title: str = "Receptive field",
    ax: Axes | None = None,
) -> Figure:
    """Draws the receptive field of one unit of any model on the input, theoretical and effective.

    The theoretical field holds every pixel that can change the unit. It is found without knowing
    the model: a NaN in a row or a column of the input reaches the unit if, and only if, the unit
    sees it, since no sum and no maximum loses a NaN. The effective field is the gradient's energy,

        E[p] = mean over n of sum over c of (d unit / d x[n, p, c])^2

    which is large in the middle and dies away towards the edge, because more paths lead there.

    Args:
      function: from images `(n, height, width, channels)` to maps `(n, *out, features)`, without a
        Fourier transform, which mixes every pixel with every other; a module runs in evaluation,
        and stays as it is.
      inputs: images to average over, `(n, height, width, channels)`.
      unit: the unit's place among `out`; None for the one in the middle.
      channel: the unit's feature; None for the sum of all.
      title: heading; the two extents are added to it.
      ax: axes to draw on; a new figure is made when None.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: the inputs are no images, or there is no such unit, or it sees no pixel.
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
    run = still("function", function)
    maps = jax.eval_shape(run, images)
    place = _place(getattr(maps, "shape", ()), unit, channel)

    def value(x: jax.Array) -> Any:
        return _at(run(x), place, channel)

    gradient = np.asarray(jax.grad(lambda x: value(x).sum())(images), np.float64)
    energy = (gradient**2).sum(axis=-1).mean(axis=0)
    top, bottom, left, right = _box(value, images)
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


def _place(shape: tuple[int, ...], unit: Sequence[int] | None, channel: object) -> tuple[int, ...]:
    """The unit's place, checked."""
    spatial = shape[1:-1]
    if len(shape) < 2:
        raise ValueError(f"`function` must give (n, *out, features); received {shape}")
    if channel is not None:
        number = geometry.whole_number("channel", channel, 0)
        if number >= shape[-1]:
            raise ValueError(f"`channel` (={number}) must be below the {shape[-1]} features")
    if unit is None:
        return tuple(size // 2 for size in spatial)
    if not isinstance(unit, Sequence):
        raise TypeError(
            f"`unit` (={unit!r}) must be a tuple, one int per axis of {spatial}; got "
            f"{type(unit).__name__}"
        )
    place = tuple(geometry.whole_number("unit", entry, 0) for entry in unit)
    if len(place) != len(spatial) or any(p >= n for p, n in zip(place, spatial, strict=True)):
        raise ValueError(f"`unit` (={place}) must be a place in maps of sizes {spatial}")
    return place


@jax.jit
def _at(maps: Any, place: tuple[int, ...], channel: int | None) -> Any:
    """The unit's value in each image, or the sum of its channels."""
    features = maps[(slice(None), *place)]
    return features.sum(axis=-1) if channel is None else features[:, channel]


def _box(value: Callable[[jax.Array], Any], images: jax.Array) -> tuple[int, int, int, int]:
    """First and last row, first and last column that the unit sees."""
    height, width = images.shape[1:3]
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
