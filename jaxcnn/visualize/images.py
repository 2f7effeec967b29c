"""Images side by side."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike


def image_grid(
    images: ArrayLike,
    captions: Sequence[str],
    *,
    columns: int = 8,
    title: str = "",
) -> Figure:
    """Draws images in rows, each with a line of text above.

    Args:
      images: `(n, height, width, channels)` with 1 or 3 channels, bytes 0 to 255 or floats 0 to 1;
        n may be 0, which gives a figure that says so.
      captions: a text an image; line breaks are kept.
      columns: images in a row.
      title: heading of the figure.

    Returns:
      A new figure.

    Raises:
      ValueError: the images have another shape, or there are not as many captions.

    Example:
      >>> figure = image_grid(np.zeros((3, 28, 28, 1)), ["a", "b", "c"], columns=2)
      >>> len(figure.axes)
      3
    """
    pixels = np.asarray(images)
    if pixels.ndim != 4 or pixels.shape[-1] not in (1, 3):
        raise ValueError(
            "image_grid: `images` must be (n, height, width, channels) with 1 or 3 channels; "
            f"received {pixels.shape}"
        )
    if len(captions) != len(pixels):
        raise ValueError(
            f"image_grid: `captions` must be one an image; received {len(captions)} for "
            f"{len(pixels)} images"
        )
    if columns < 1:
        raise ValueError(f"image_grid: `columns` (={columns}) must be 1 or more")
    columns = max(1, min(columns, len(pixels)))
    rows = max(1, math.ceil(len(pixels) / columns))
    figure = Figure(figsize=(max(4.0, 1.15 * columns), 1.45 * rows + 0.5), layout="constrained")
    figure.suptitle(title)
    if not len(pixels):
        figure.text(0.5, 0.4, "no images", ha="center")
    limit = 255 if pixels.dtype == np.uint8 else 1
    for index, (image, caption) in enumerate(zip(pixels, captions, strict=True)):
        ax = figure.add_subplot(rows, columns, index + 1)
        ax.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, "gray", vmin=0, vmax=limit)
        ax.set_title(caption, fontsize=8)
        ax.set_axis_off()
    return figure
