"""The ratios as a picture: a line per row, a mark per peer, on a logarithmic axis."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import FuncFormatter, NullFormatter

from experiments.benchmark.programs import BOTH, EPOCH, FORWARD, STEP
from experiments.benchmark.results import Result
from experiments.benchmark.table import peers_in
from experiments.commands.command import UserError

# Of Okabe and Ito, told apart by the colour-blind, and by their shapes in black and white.
MARKS = {
    "lax": ("#0072B2", "o"),
    "flax": ("#56B4E9", "D"),
    "torch": ("#D55E00", "s"),
    "torch-compile": ("#E69F00", "^"),
}
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def draw(results: Sequence[Result], title: str) -> Picture:
    """Draws each row.

    Full marks are with the gradient; hollow ones the forward pass alone.
    """
    modes = {"primitives": (BOTH,), "models": (STEP, EPOCH)}
    shown = [result for result in results if result.mode in modes[result.suite]]
    names = list(dict.fromkeys(result.name for result in shown))
    forward = {result.name: result for result in results if result.mode == FORWARD}
    height = 1.6 + 0.2 * max(len(names), 1)
    figure = Picture(figsize=(9, height), layout="constrained")
    axes = figure.subplots()
    for peer in peers_in(shown):
        colour, marker = MARKS[peer]
        for results_of, filled in ((forward.values(), False), (shown, True)):
            points = [
                (ratio, names.index(r.name))
                for r in results_of
                if r.name in names and (ratio := r.speedup(peer))
            ]
            if points:
                xs, ys = zip(*points, strict=True)
                face = {"color": colour} if filled else {"facecolors": "none", "edgecolors": colour}
                label = peer if filled else None
                axes.scatter(xs, ys, s=26 if filled else 16, marker=marker, label=label, **face)
    lay_out(axes, names)
    axes.set_xlabel(
        "times as fast as the peer, to the right jaxcnn is faster; full: with the gradient, "
        "hollow: forward"
    )
    axes.set_title(title, fontsize=9)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside upper right", fontsize=8, ncols=4)
    return figure


def lay_out(axes: Axes, names: Sequence[str]) -> None:
    """Lays ratios along a scale of powers, a line for each name, once the points are drawn."""
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    low, high = axes.get_xlim()
    axes.set_xticks([tick for tick in TICKS if low <= tick <= high] or [1])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g} x"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="both", linewidth=0.3, color="0.8")
    axes.set_axisbelow(True)


def save(figure: Picture, path: Path) -> None:
    """Writes the picture in the format of its suffix.

    Raises:
      UserError: it can't be written, or the format is unknown.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be drawn: {error}; name a .png or .svg file") from None
