"""Our share of plain lax's time and bytes, or Flax's for networks: a line per row."""

from collections.abc import Sequence

from matplotlib.figure import Figure as Picture

from experiments.benchmark.compile_for.results import Result
from experiments.benchmark.picture import lay_out
from experiments.benchmark.programs import FORWARD

# Of Okabe and Ito, told apart by the colour-blind, and by their shapes in black and white.
MARKS = {"seconds": ("modelled time", "#0072B2", "o"), "bytes": ("bytes", "#D55E00", "s")}


def draw(results: Sequence[Result], title: str) -> Picture:
    """Draws each row with its gradient, a panel for each dtype."""
    shown = [result for result in results if result.mode != FORWARD]
    names = list(dict.fromkeys(result.name for result in shown))
    dtypes = list(dict.fromkeys(result.dtype for result in shown)) or [""]
    size = (4 + 4.5 * len(dtypes), 1.6 + 0.2 * max(len(names), 1))
    figure = Picture(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(dtypes), sharey=True, squeeze=False)[0]
    for axes, dtype in zip(panels, dtypes, strict=True):
        for field, (label, colour, marker) in MARKS.items():
            points = [
                (ratio, names.index(r.name))
                for r in shown
                if r.dtype == dtype and (ratio := r.ratio(field, _peer(r)))
            ]
            if points:
                xs, ys = zip(*points, strict=True)
                axes.scatter(xs, ys, s=26, marker=marker, color=colour, label=label)
        lay_out(axes, names)
        axes.set_xlabel("of the peer's; to the left jaxcnn takes less")
        axes.set_title(dtype, fontsize=9)
    figure.suptitle(f"{title}, forward and backward", fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper right", fontsize=8, ncols=2)
    return figure


def _peer(result: Result) -> str:
    return "flax" if result.suite == "models" else "lax"
