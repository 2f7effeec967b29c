"""Draws the kernels that a network has learnt, and the maps that it makes of an image."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import ArrayLike
from matplotlib.figure import Figure

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn.visualize.figures import hide_axes, times


@named
def kernels(
    kernel: ArrayLike, *, columns: int = 8, most: int = 128, title: str = "Kernels"
) -> Figure:
    """Draws the kernels of a two-dimensional convolution, all on one scale.

    A kernel of three input channels is drawn in red, green and blue, each as far from grey as its
    weight is from 0. Any other is drawn channel by channel, a row an output, in colours that tell
    positive from negative.

    Args:
      kernel: `(height, width, in_features, out_features)`, as a `Conv` keeps it.
      columns: kernels in a row, where one picture shows a whole kernel.
      most: pictures drawn; what is left out is said in the title.
      title: heading.

    Returns:
      A new figure.

    Raises:
      ValueError: the kernel has another rank, or `columns` or `most` is below 1.

    Example:
      >>> figure = kernels(np.ones((5, 5, 1, 6)))
      >>> figure.axes[2].get_title()
      'output 2'
    """
    weights = np.asarray(kernel, np.float64)
    if weights.ndim != 4 or not weights.size:
        raise ValueError(
            "`kernel` must be (height, width, in_features, out_features), not empty; "
            f"received {weights.shape}"
        )
    columns = geometry.whole_number("columns", columns, 1)
    most = geometry.whole_number("most", most, 1)
    height, width, inside, outside = weights.shape
    limit = float(np.abs(weights).max()) or 1.0
    coloured = inside == 3
    if coloured or inside == 1:
        pictures = [weights[..., o] for o in range(outside)]
        names = [f"output {o}" for o in range(outside)]
    else:
        columns = inside
        places = [(o, c) for o in range(outside) for c in range(inside)]
        pictures = [weights[..., c, o, None] for o, c in places]
        names = [f"{c} to {o}" for o, c in places]
    shown = min(len(pictures), most)
    columns = min(columns, shown)
    heading = f"{title}, {times((height, width))}, {inside} to {outside} channels"
    if shown < len(pictures):
        heading += f", the first {shown} of {len(pictures)}"
    rows = -(-shown // columns)
    figure = Figure(figsize=(max(4.5, 0.95 * columns + 1), 1.12 * rows + 0.6), layout="constrained")
    figure.suptitle(heading, fontsize=11)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    image = None
    for ax, picture, name in zip(grid, pictures[:shown], names, strict=False):
        if coloured:
            ax.imshow(0.5 + 0.5 * picture / limit)
        else:
            image = ax.imshow(picture[..., 0], cmap="PuOr_r", vmin=-limit, vmax=limit)
        ax.set_title(name, fontsize=8, pad=3)
    for ax in grid:
        hide_axes(ax)
    if image is not None:
        bar = figure.colorbar(image, ax=grid.tolist(), shrink=0.9, aspect=12 * rows)
        bar.set_label("weight")
    return figure


@named
def feature_maps(
    maps: Mapping[str, ArrayLike], *, most: int = 8, title: str = "Feature maps"
) -> Figure:
    """Draws what each layer gives for one image, a row a layer, each on its own scale.

    Args:
      maps: name of the layer -> `(height, width, channels)` or `(1, height, width, channels)`, as
        `analysis.feature_maps(model, image[None])` gives them; what has fewer axes, such as logits,
        is left out.
      most: channels drawn of each layer, the first ones.
      title: heading.

    Returns:
      A new figure.

    Raises:
      ValueError: there is no layer, a map has another rank, or `most` is below 1.

    Example:
      >>> figure = feature_maps({"conv1": np.ones((28, 28, 6)), "pool1": np.ones((14, 14, 6))})
      >>> len(figure.axes)  # six channels and a scale, twice
      14
    """
    most = geometry.whole_number("most", most, 1)
    arrays = {name: np.asarray(array, np.float64) for name, array in maps.items()}
    arrays = {
        name: array[0] if array.ndim == 4 and len(array) == 1 else array
        for name, array in arrays.items()
        if array.ndim > 2
    }
    for name, array in arrays.items():
        if array.ndim != 3 or not array.size:
            raise ValueError(
                f"`{name}` must be (height, width, channels), not empty; received "
                f"{array.shape}; give the maps of one image"
            )
    if not arrays:
        raise ValueError("`maps` must hold at least one layer that gives maps; received none")
    columns = min(most, max(array.shape[-1] for array in arrays.values()))
    figure = Figure(
        figsize=(max(4.5, 1.05 * columns + 1.6), 1.3 * len(arrays) + 0.5), layout="constrained"
    )
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(len(arrays), columns, squeeze=False)
    for row, (name, array) in zip(grid, arrays.items(), strict=True):
        shown = min(columns, array.shape[-1])
        drawn = [
            ax.imshow(array[..., channel], cmap="viridis", vmin=array.min(), vmax=array.max())
            for channel, ax in enumerate(row[:shown])
        ]
        for ax in row:
            hide_axes(ax)
        told = f"{name}\n{times(array.shape[:2])}\n{shown} of {array.shape[2]}"
        row[0].text(
            -0.12, 0.5, told, transform=row[0].transAxes, ha="right", va="center", fontsize=8
        )
        bar = figure.colorbar(drawn[0], ax=row.tolist(), shrink=0.85, aspect=10)
        bar.set_label("activation", fontsize=8)
        bar.ax.tick_params(labelsize=8)
    return figure
