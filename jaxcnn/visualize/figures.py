"""What all pictures share: colours, axes, and how sizes are written."""

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's colours, which every kind of colour blindness tells apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def axes_of(ax: Axes | None, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """The given axes and their figure, or new ones of `size` inches (width, height)."""
    if ax is None:
        figure = Figure(figsize=size, layout="constrained")
        return figure, figure.subplots()
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("visualize: `ax` must belong to a figure; received axes that were removed")
    return figure, ax


def hide_axes(axes: Axes) -> None:
    """Leaves the title and what is drawn inside.

    `set_axis_off` alone has the ticks made and laid out: half of the time of a grid of images.
    """
    axes.set_axis_off()
    axes.xaxis.set_visible(False)
    axes.yaxis.set_visible(False)


def times(shape: Iterable[int]) -> str:
    """Sizes as a person writes them: 3×3."""
    return "\N{MULTIPLICATION SIGN}".join(map(str, shape))
