"""Draws images side by side."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from jaxcnn._checks.naming import named
from jaxcnn.visualize.figures import hide_axes


@named
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
            "`images` must be (n, height, width, channels) with 1 or 3 channels; "
            f"received {pixels.shape}"
        )
    if len(captions) != len(pixels):
        raise ValueError(
            f"`captions` must be one an image; received {len(captions)} for {len(pixels)} images"
        )
    if columns < 1:
        raise ValueError(f"`columns` (={columns}) must be 1 or more")
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
        hide_axes(ax)
    return figure


@named
def misclassified(
    images: ArrayLike,
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    most: int = 48,
    columns: int = 8,
) -> Figure:
    """Draws the images that a classifier takes for another class, the most certain mistakes first.

    Args:
      images: `(n, height, width, channels)`, as `image_grid` takes them.
      labels: true classes, integers, `(n,)`.
      probabilities: of each class, 0 to 1, `(n, classes)`.
      class_names: a name a class; None for their numbers.
      most: images drawn.
      columns: images in a row.

    Returns:
      A new figure; the title counts all mistakes.

    Raises:
      ValueError: shapes disagree, or a class has no name.

    Example:
      >>> images, right = np.zeros((3, 8, 8, 1)), np.array([0, 1, 1])
      >>> figure = misclassified(images, right, [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
      >>> figure.get_suptitle(), figure.axes[0].get_title()
      ('1 of 3 images misread', 'true 1\\nread 0 (70 %)')
    """
    pixels, true, shares = np.asarray(images), np.asarray(labels), np.asarray(probabilities)
    if true.ndim != 1 or shares.ndim != 2 or not len(pixels) == len(true) == len(shares):
        raise ValueError(
            "`images`, `labels` (n,) and `probabilities` (n, classes) must be of "
            f"one length; received {pixels.shape}, {true.shape} and {shares.shape}"
        )
    names = list(map(str, range(shares.shape[1])) if class_names is None else class_names)
    if len(names) != shares.shape[1]:
        raise ValueError(f"`class_names` must hold {shares.shape[1]} names; received {len(names)}")
    if most < 1:
        raise ValueError(f"`most` (={most}) must be 1 or more")
    read = shares.argmax(-1)
    wrong = np.flatnonzero(read != true)
    wrong = wrong[np.argsort(-shares[wrong].max(-1), kind="stable")]
    shown = wrong[:most]
    space = "\n" if max(map(len, names)) > 6 else " "  # longer ones would run into one another
    names = [name if len(name) <= 14 else f"{name[:12]}..." for name in names]
    captions = [
        f"true {names[int(true[n])]}\nread {names[int(read[n])]}{space}"
        f"({100 * shares[n].max():.0f} %)"
        for n in shown.tolist()
    ]
    title = f"{len(wrong)} of {len(true):,} images misread"
    if len(shown) < len(wrong):
        title += f", the {len(shown)} most certain"
    return image_grid(pixels[shown], captions, columns=columns, title=title)
