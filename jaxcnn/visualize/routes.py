"""Draws where the gradient of a pool goes."""

import itertools
import math

import jax
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from numpy.typing import ArrayLike

from jaxcnn import functional
from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding
from jaxcnn.visualize._scene import POOLS
from jaxcnn.visualize._window_values import text
from jaxcnn.visualize.figures import COLOURS, hide_axes, times

_PALE = 0.30  # share of its colour in an output cell


@named
def pool_gradient(
    op: str,
    inputs: ArrayLike,
    window_shape: tuple[int, ...],
    strides: IntPerAxis | None = None,
    padding: Padding = "VALID",
    *,
    padding_mode: str = "identity",
    window_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
    cotangent: ArrayLike | None = None,
    title: str | None = None,
) -> Figure:
    """Draws which input cells the gradient of each output cell of a pool goes to, and how much.

    A maximum hands its whole gradient to the cell that won, the first of equals; an average gives
    every cell of its window an equal share; what arrives at a cell from several windows is added.
    The routes are those of the primitive itself, by `jax.jacobian`. Each output cell has a colour,
    and its box and its arrow bear it.

    Args:
      op: "max_pool", "min_pool", "avg_pool" or "sum_pool".
      inputs: one plane, `(height, width)`, or one line, `(length,)`.
      window_shape: as the pool takes it.
      strides: as the pool takes it.
      padding: as the pool takes it.
      padding_mode: as the pool takes it.
      window_dilation: as the pool takes it.
      ceil_mode: as the pool takes it.
      cotangent: gradient of the output, of the output's shape; 1, 2, 3, ... when None.
      title: heading; None for the name of the pool and its windows.

    Returns:
      A new figure: the input, the gradient of the output and the gradient of the input.

    Raises:
      ValueError: no such pool, or arrays of another shape; and as the pool.
      TypeError: as the pool.

    Example:
      >>> figure = pool_gradient("max_pool", [1.0, 3.0, 2.0, 5.0], (2,), 2)
      >>> figure.axes[0].get_title()
      'gradient of max_pool, window 2'
    """
    if op not in POOLS:
        raise ValueError(f"`op` (={op!r}) must be one of {', '.join(POOLS)}")
    plane = np.asarray(inputs, np.float64)
    if plane.ndim not in (1, 2) or not plane.size:
        raise ValueError(
            f"`inputs` must be a line or a plane, without batch and channels; "
            f"received {plane.shape}"
        )

    def pool(x: jax.Array) -> jax.Array:
        return getattr(functional, op)(
            x[..., None],
            window_shape,
            strides,
            padding,
            padding_mode=padding_mode,
            window_dilation=window_dilation,
            ceil_mode=ceil_mode,
        )[..., 0]

    routes = np.asarray(jax.jit(jax.jacobian(pool))(plane))
    shape = routes.shape[: plane.ndim]
    given = np.arange(1.0, 1 + math.prod(shape)).reshape(shape) if cotangent is None else cotangent
    given = np.asarray(given, np.float64)
    if given.shape != shape:
        raise ValueError(
            f"`cotangent` must have the shape of the output, {shape}; received {given.shape}"
        )
    arrived = np.tensordot(given, routes, axes=plane.ndim)
    told = title or f"gradient of {op}, window {times(window_shape)}"
    return _figure(plane, given, arrived, routes, told)


def _figure(plane, given, arrived, routes, title: str) -> Figure:
    """Planes stand beside one another, lines below one another; arrows cross the gap."""
    grids = [np.atleast_2d(grid) for grid in (plane, given, arrived)]
    lines = plane.ndim == 1
    places = _lines(grids) if lines else _planes(grids)
    width = max(place[0] + grid.shape[1] for place, grid in zip(places, grids, strict=True))
    height = max(place[1] + grid.shape[0] for place, grid in zip(places, grids, strict=True))
    figure = Figure(
        figsize=(max(5.0, 0.46 * width + 0.5), 0.46 * height + 0.6), layout="constrained"
    )
    axes = figure.subplots()
    axes.set_title(title, fontsize=11)
    axes.set_xlim(-0.15, width + 0.15)
    axes.set_ylim(height + 0.15, -0.2)
    axes.set_aspect("equal")
    hide_axes(axes)
    names = ("input", "gradient of the output", "gradient of the input")
    for number, (name, grid, place) in enumerate(zip(names, grids, places, strict=True)):
        told = f"{name} {times(grid.shape[1:] if lines else grid.shape)}"
        _grid(axes, told, grid, place, blank=number == 2)
    routes = routes.reshape(given.size, *grids[2].shape)
    colours = itertools.cycle(COLOURS[:6])
    for output, colour in zip(range(given.size), colours, strict=False):
        row, column = divmod(output, grids[1].shape[1])
        start = places[1][0] + column, places[1][1] + row
        # Opaque and above the arrows, which would strike the numbers through.
        axes.add_patch(_box(*start, 1, 1, 0.0, facecolor=_pale(colour), zorder=3))
        rows, columns = np.nonzero(routes[output])
        if not rows.size:
            continue
        low, high = (int(columns.min()), int(rows.min())), (int(columns.max()), int(rows.max()))
        spans = high[0] - low[0] + 1, high[1] - low[1] + 1
        # Boxes of overlapping windows keep off one another by their margins.
        margin = 0.07 if rows.size == 1 else 0.06 + 0.07 * (output % 3)
        edge = dict(facecolor="white" if rows.size == 1 else "none", edgecolor=colour, linewidth=2)
        for place in (places[0], places[2]):
            axes.add_patch(
                _box(place[0] + low[0], place[1] + low[1], *spans, margin, zorder=3, **edge)
            )
        end = places[2][0] + low[0] + margin, places[2][1] + low[1] + spans[1] / 2
        # A little apart, or the arrows of one row would lie on one another.
        apart = 0.4 * ((column + 0.5) / grids[1].shape[1] - 0.5)
        begin = start[0] + 0.93, start[1] + 0.5 + apart
        if lines:
            end = places[2][0] + low[0] + spans[0] / 2, places[2][1] + margin
            begin = start[0] + 0.5, start[1] + 0.93
        axes.add_patch(
            FancyArrowPatch(
                begin,
                end,
                arrowstyle="-|>",
                mutation_scale=9,
                color=colour,
                linewidth=1.4,
                shrinkA=0,
                shrinkB=0,
                zorder=2.5,
            )
        )
    return figure


def _pale(colour: str) -> tuple[float, ...]:
    return tuple(1 - _PALE * (1 - part) for part in to_rgb(colour))


def _planes(grids: list[np.ndarray]) -> list[tuple[float, float]]:
    """Upper left corners of planes beside one another, a wide gap for the arrows."""
    height = max(grid.shape[0] for grid in grids)
    places, across = [], 0.0
    for grid in grids:
        spare = max(4.0 - grid.shape[1], 0) / 2  # the heading of a small grid is wider than it
        places.append((across + spare, 0.9 + (height - grid.shape[0]) / 2))
        across += grid.shape[1] + 2 * spare + 1.8
    return places


def _lines(grids: list[np.ndarray]) -> list[tuple[float, float]]:
    """Upper left corners of lines below one another."""
    width = max(grid.shape[1] for grid in grids)
    return [
        ((width - grid.shape[1]) / 2 + 5.2, top)
        for grid, top in zip(grids, (0.3, 2.1, 4.6), strict=True)
    ]


def _box(left, top, width, height, margin: float, **style) -> Rectangle:
    """Around cells, with a margin so that the boxes of neighbours do not touch."""
    corner = left + margin, top + margin
    return Rectangle(corner, width - 2 * margin, height - 2 * margin, **style)


def _grid(axes, title: str, values: np.ndarray, place: tuple[float, float], blank: bool) -> None:
    """A number a cell, above the arrows; zeros are left out where they are no news."""
    left, top = place
    rows, columns = values.shape
    for (row, column), value in np.ndenumerate(values):
        axes.add_patch(
            Rectangle(
                (left + column, top + row), 1, 1, fill=False, edgecolor="#9A9A9A", linewidth=0.8
            )
        )
        told = text(value)
        if blank and told == "0":
            continue
        axes.text(
            left + column + 0.5,
            top + row + 0.52,
            told,
            ha="center",
            va="center",
            fontsize=9 if len(told) < 5 else 7,
            zorder=5,
        )
    if rows == 1:
        axes.text(left - 0.3, top + 0.5, title, ha="right", va="center", fontsize=9)
    else:
        axes.text(left + columns / 2, top - 0.2, title, ha="center", va="bottom", fontsize=9)
