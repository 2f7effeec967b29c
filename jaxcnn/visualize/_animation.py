"""All steps of a sliding window one after another: a GIF, or a page with a slider."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from jaxcnn.visualize import _window_html
from jaxcnn.visualize._panels import Panels
from jaxcnn.visualize._window_figure import add_legend, arithmetic, draw_step, step_size, wrapped

_MILLISECONDS = 700
_PAUSE = 1800  # on the last step, before it begins anew


def write(path: Path, panels: Panels, heading: str) -> None:
    """Writes `path` in the format that its suffix names.

    Raises:
      ValueError: another suffix than .gif or .html.
    """
    suffix = path.suffix.lower()
    if suffix == ".html":
        path.write_text(_window_html.page(panels, heading), encoding="utf-8")
    elif suffix == ".gif":
        _write_gif(path, panels, heading)
    else:
        raise ValueError(f"`animation` (={str(path)!r}) must end in .gif or .html")


def _write_gif(path: Path, panels: Panels, heading: str, dpi: int = 80) -> None:
    """One palette for all frames, taken from the last, which shows every colour."""
    frames = [_frame(panels, number, heading, dpi) for number in range(len(panels.moments))]
    palette = frames[-1].quantize(64)
    quantized = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    quantized[0].save(
        path,
        save_all=True,
        append_images=quantized[1:],
        duration=[_MILLISECONDS] * (len(frames) - 1) + [_PAUSE],
        loop=0,
        optimize=True,
    )


def _frame(panels: Panels, number: int, heading: str, dpi: int) -> Image.Image:
    width, height = step_size(panels)
    told = wrapped(heading, f"step {number + 1} of {len(panels.moments)}", width)
    size = width, height + 0.2 * told.count("\n")
    figure = Figure(figsize=size, layout="constrained", dpi=dpi)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    draw_step(axes, panels, number, told)
    # As many lines in every frame, or the grid would move.
    most = max(len(moment.lines) for moment in panels.moments)
    if most:
        lines = arithmetic(panels, number)
        lines += "\n" * (most - 1 - lines.count("\n")) + "\N{NO-BREAK SPACE}"
        axes.text(
            0.5, -0.03, lines, transform=axes.transAxes, ha="center", va="top", fontsize=9,
            family="monospace",
        )  # fmt: skip
    add_legend(figure, panels)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
