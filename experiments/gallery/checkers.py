"""What decoders make of a constant, as a picture: with equal taps, and with random ones."""

import numpy as np
from flax import nnx
from matplotlib.figure import Figure

from experiments.checkerboard import UPSAMPLING, energy, untrained
from jaxcnn.visualize.figures import hide_axes


def decoded_constants(draws: int = 16) -> Figure:
    """Draws a decoder a column, equal taps above random ones, with the share of the stride.

    Args:
      draws: random decoders that the share is averaged over; the first is drawn.
    """
    figure = Figure(figsize=(6.4, 4.9), layout="constrained")
    grid = figure.subplots(2, len(UPSAMPLING))
    kinds = {"equal taps": (1, {"kernel_init": nnx.initializers.ones}), "random taps": (draws, {})}
    for axes, (taps, (count, options)) in zip(grid, kinds.items(), strict=True):
        for ax, kind in zip(axes, UPSAMPLING, strict=True):
            images = untrained(kind, count, **options)
            middle = images[0].mean()
            reach = max(np.abs(images[0] - middle).max(), 1e-3 * abs(middle), 1e-9)
            ax.imshow(images[0], "gray", vmin=middle - reach, vmax=middle + reach)
            hide_axes(ax)
            ax.set_title(f"{kind}\n{taps}: {float(energy(images)):.0%}", fontsize=9)
    figure.suptitle("Share of the variance that repeats with the stride", fontsize=10)
    return figure
