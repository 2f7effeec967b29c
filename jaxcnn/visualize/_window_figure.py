"""Panels of a sliding window drawn by matplotlib."""

import math
import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from jaxcnn.visualize._panels import STYLES, Panel, Panels
from jaxcnn.visualize.figures import hide_axes

_INCH = 0.44  # a cell
_GAP = 1.5  # cells between panels
_HEAD = 0.95  # cells above a panel, for its title


def step_size(panels: Panels) -> tuple[float, float]:
    """Inches that one step takes, with its legend and its arithmetic."""
    width, height = _extent(panels)
    lines = max((len(moment.lines) for moment in panels.moments), default=0)
    width = max(4.8, _INCH * width + 0.3)
    below = 0.2 * lines + 0.26 * math.ceil(len(panels.legend) / _columns(panels, width)) + 0.15
    return width, _INCH * height + below + 0.75


def strip_size(panels: Panels, rows: int, columns: int) -> tuple[float, float]:
    """Inches that all steps take, `columns` beside one another."""
    width, height = _extent(panels, small=True)
    scale = min(0.24, 12 / (columns * (width + 1)))
    across = max(5.0, scale * (width + 1) * columns)
    below = 0.26 * math.ceil(len(panels.legend) / _columns(panels, across))
    return across, 0.6 + below + rows * (scale * height + 0.25)


def draw_step(axes: Axes, panels: Panels, number: int, title: str, *, small: bool = False) -> None:
    """Draws one step: the window on the input, the kernel, the output so far.

    Args:
      axes: to draw on, emptied of ticks.
      panels: of the whole slide.
      number: of the step.
      title: above all.
      small: leaves out the panels' titles, the kernel, the legend and the arithmetic.
    """
    moment = panels.moments[number]
    roles, labels = list(panels.input.roles), list(panels.input.labels)
    for cell in moment.taps:
        roles[cell] = panels.tap_role(cell)
    every = range(len(panels.moments))
    shown = ("current" if n == number else "output" if n < number else "pending" for n in every)
    told = (panels.values[n] if n <= number else "" for n in every)
    places = _places(panels, small)
    _draw(axes, panels.input, *places[0], roles, labels, small, corners=moment.taps)
    if panels.kernel and not small:
        kernel = panels.kernel
        _draw(axes, kernel, *places[1], list(kernel.roles), list(kernel.labels), small)
    _draw(axes, panels.output, *places[-1], list(shown), list(told), small)
    width, height = _extent(panels, small)
    axes.set_xlim(-0.1, width + 0.1)
    axes.set_ylim(height + 0.1, -0.1)
    axes.set_aspect("equal")
    hide_axes(axes)
    axes.set_title(title, fontsize=7 if small else 11, pad=2 if small else 6)


def add_legend(figure: Figure, panels: Panels) -> None:
    """Puts what the colours mean below everything."""
    handles = [
        Patch(facecolor=STYLES[role][0], edgecolor=STYLES[role][1], label=word)
        for role, word in panels.legend
    ]
    columns = _columns(panels, figure.get_size_inches()[0])
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        fontsize=8.5,
        frameon=False,
        handlelength=1.1,
        handleheight=1.1,
        columnspacing=1.2,
    )


def arithmetic(panels: Panels, number: int) -> str:
    """The arithmetic of a step, aligned at its left edge; "" without numbers."""
    return "\n".join(panels.moments[number].lines)


def _columns(panels: Panels, inches: float) -> int:
    """Entries of the legend beside one another, as many in each row."""
    longest = max(len(word) for _, word in panels.legend)
    most = max(2, int(inches / (0.45 + 0.07 * longest)))
    rows = math.ceil(len(panels.legend) / most)
    return math.ceil(len(panels.legend) / rows)


def wrapped(heading: str, tail: str, inches: float) -> str:
    """The heading and which step it is, in lines that fit into so many inches."""
    letters = max(20, math.floor(min(inches, 100) / 0.094))
    told = f"{heading}: {tail}"
    if len(told) <= letters:
        return told
    return "\n".join([*textwrap.wrap(heading, letters), tail])


def _list(panels: Panels, small: bool) -> list[Panel]:
    kernel = [panels.kernel] if panels.kernel and not small else []
    return [panels.input, *kernel, panels.output]


def _stacked(panels: Panels) -> bool:
    """Whether the panels stand below one another: rows of one axis do."""
    return panels.input.rows == panels.output.rows == 1


def _head(small: bool) -> float:
    return 0.25 if small else _HEAD


def _width(panel: Panel, small: bool) -> float:
    """Cells across, with room for the title."""
    return panel.columns if small else max(panel.columns, 0.19 * len(panel.title))


def _extent(panels: Panels, small: bool = False) -> tuple[float, float]:
    """Cells across and down that all panels take."""
    shown = _list(panels, small)
    if _stacked(panels):
        width = max(_width(panel, small) for panel in shown)
        return width, sum(panel.rows + _head(small) for panel in shown)
    gaps = _GAP * (len(shown) - 1) * (0.7 if small else 1)
    height = max(panel.rows for panel in shown) + _head(small)
    return sum(_width(panel, small) for panel in shown) + gaps, height


def _places(panels: Panels, small: bool) -> list[tuple[float, float]]:
    """The upper left corner of each panel's grid."""
    places: list[tuple[float, float]] = []
    shown = _list(panels, small)
    width, height = _extent(panels, small)
    across, down = 0.0, 0.0
    for panel in shown:
        if _stacked(panels):
            places.append(((width - panel.columns) / 2, down + _head(small)))
            down += panel.rows + _head(small)
        else:
            free = height - _head(small) - panel.rows
            spare = (_width(panel, small) - panel.columns) / 2
            places.append((across + spare, _head(small) + free / 2))
            across += _width(panel, small) + _GAP * (0.7 if small else 1)
    return places


def _draw(axes, panel: Panel, left, top, roles, labels, small: bool, corners=None) -> None:
    """One grid, cell by cell, those of the window last so that their edges are whole."""
    corners = corners or {}
    order = sorted(range(len(roles)), key=lambda n: roles[n] in ("tap", "faint tap", "current"))
    for n in order:
        row, column = divmod(n, panel.columns)
        face, edge, dashed, ink = STYLES[roles[n]]
        axes.add_patch(
            Rectangle(
                (left + column, top + row),
                1,
                1,
                facecolor=face,
                edgecolor=edge,
                linewidth=(0.5 if small else 0.9) * (1.6 if n in corners else 1),
                linestyle=(0, (2, 1.5)) if dashed and n not in corners else "-",
            )
        )
        if labels[n] and not small:
            corner = corners.get(n, "")
            axes.text(
                left + column + (0.42 if corner else 0.5),
                top + row + (0.40 if corner else 0.52),
                labels[n],
                ha="center",
                va="center",
                fontsize=9 if len(labels[n]) < 4 else 7,
                color=ink,
            )
        if corners.get(n) and not small:
            axes.text(
                left + column + 0.95,
                top + row + 0.93,
                corners[n],
                ha="right",
                va="bottom",
                fontsize=6.5 if len(corners[n]) < 4 else 5.5,
                color="#7A2E00",
                fontweight="bold",
            )
    if not small:
        axes.text(
            left + panel.columns / 2, top - 0.22, panel.title, ha="center", va="bottom", fontsize=9
        )
