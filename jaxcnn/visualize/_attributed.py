"""Draws attributions: a map of colours for each image, and the image's outline on it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcnn import analysis
from jaxcnn._modules.still import still
from jaxcnn.visualize.figures import axes_of, hide_axes


def draw(
    method: str,
    how: Callable[..., Any],
    asked: tuple[Any, ...],
    label: str,
    channels: str | None = "magnitude",
) -> Figure:
    """Computes an attribution and draws it; "magnitude" is of the largest channel, unsigned."""
    model, image, target, title, ax = asked
    images = jnp.asarray(image)
    floats = jnp.issubdtype(images.dtype, np.floating)
    if images.ndim not in (3, 4) or not images.size or not floats:
        raise ValueError(
            f"`image` must be floats (height, width, channels), or a batch of images; received "
            f"{images.dtype} {images.shape}"
        )
    images = images[None] if images.ndim == 3 else images
    if ax is not None and len(images) > 1:
        raise ValueError(f"`ax` takes one image; received {len(images)}; leave it out")
    numbers = how(images, target=target)
    size = "largest" if channels == "magnitude" else channels
    negative = "absolute" if channels == "magnitude" else "keep"
    values = np.asarray(
        analysis.heat_map(numbers, channels=size, negative=negative, scale=False), np.float64
    )
    signed = bool(channels != "magnitude" and method != "Grad-CAM")
    told = _told(model, images, target)
    if len(images) == 1:
        _, height, width = values.shape
        figure, axes = axes_of(ax, (4.4, 3.6 * height / width + 0.3))
        _one(figure, axes, images[0], values[0], title or method + told[0], label, signed)
        return figure
    rows = -(-len(images) // 4)
    columns = min(len(images), 4)
    figure = Figure(figsize=(2.6 * columns, 2.5 * rows + 0.4), layout="constrained")
    figure.suptitle(title or method, fontsize=11)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for number, (pixels, drawn, each) in enumerate(zip(images, values, told, strict=True)):
        last = number % columns == columns - 1 or number == len(images) - 1
        heading, unit = each.removeprefix(" for "), label if last else ""
        _one(figure, grid[number], pixels, drawn, heading, unit, signed)
    for axes in grid[len(images) :]:
        hide_axes(axes)
    return figure


def _told(model: Any, images: jax.Array, target: Any) -> list[str]:
    """For each image the class that is looked at, and its probability."""
    if callable(target) or isinstance(target, tuple):
        return [""] * len(images)
    logits = jax.jit(still("model", model))(images)
    probabilities = np.asarray(jax.nn.softmax(logits), np.float64)
    numbers = probabilities.argmax(-1) if target is None else np.asarray(target)
    return [
        f" for class {number} ({100 * row[number]:.0f} %)"
        for number, row in zip(np.broadcast_to(numbers, (len(images),)), probabilities, strict=True)
    ]


def _one(
    figure: Any, axes: Axes, pixels: Any, values: Any, title: str, label: str, signed: bool
) -> None:
    """A map in colours, and the outline of the image on it."""
    limit = float(np.abs(values).max()) or 1.0
    image = axes.imshow(
        values, cmap="PuOr_r" if signed else "viridis", vmin=-limit if signed else 0, vmax=limit
    )
    grey = np.asarray(pixels, np.float64).mean(axis=-1)
    if np.ptp(grey) and min(grey.shape) > 1:
        colour = "#404040" if signed else "white"
        axes.contour(grey, [(grey.min() + grey.max()) / 2], colors=colour, linewidths=0.9)
    hide_axes(axes)
    axes.set_title(title if values.any() else f"{title}:\n0 everywhere", fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.85).set_label(label)
