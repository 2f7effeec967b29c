"""The pictures of a run: how it went, and what the network takes the test images for."""

import math

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from experiments.data import Dataset
from experiments.training.epochs import Tested
from experiments.training.runs import Run
from jaxcnn import visualize
from jaxcnn.visualize.figures import COLOURS, hide_axes

_MOST_CLASSES = 40  # that a confusion matrix can show
_PANELS = 6


def draw(run: Run, dataset: Dataset, tested: Tested, pictured: tuple[np.ndarray, np.ndarray]):
    """Writes the pictures into the run folder.

    Args:
      run: with its metrics.
      dataset: what was learned.
      tested: of the last state.
      pictured: images and targets whose outputs `tested` holds.
    """
    images, targets = pictured
    lines = run.metrics()
    if lines:  # absent only where somebody deleted the file
        run.save_picture("learning_curves", learning_curves(lines))
    names = dataset.classes
    if dataset.task == "segmentation":
        run.save_picture("masks", masks(images, targets, tested.outputs, names))
        return
    if len(names) <= _MOST_CLASSES:
        pairs = np.indices((len(names),) * 2).reshape(2, -1)
        true, given = np.repeat(pairs, np.asarray(tested.sums.confusion).ravel(), axis=1)
        run.save_picture("confusion", visualize.confusion_matrix(true, given, class_names=names))
    if images.ndim == 4 and images.shape[-1] in (1, 3):
        figure = visualize.misclassified(images, targets, tested.outputs, class_names=names)
        run.save_picture("misread", figure)


def learning_curves(lines: list[dict]) -> Figure:
    """Loss and error rate over the epochs of metrics.jsonl."""
    curves = {
        kind: {
            "train (augmented)": [line.get(f"train_{kind}", math.nan) for line in lines],
            "test": [line.get(f"test_{kind}", math.nan) for line in lines],
        }
        for kind in ("loss", "accuracy")
    }
    epochs = [line["epoch"] for line in lines]
    return visualize.learning_curves(epochs, curves["loss"], curves["accuracy"])


def masks(
    images: np.ndarray, true: np.ndarray, given: np.ndarray, names: tuple[str, ...]
) -> Figure:
    """A row an image: the image, its mask, and what the network takes it for.

    Args:
      images: `(n, height, width, channels)`, bytes; the first few are drawn.
      true: masks `(n, height, width)`; what is no class stays white.
      given: as `true`.
      names: of the classes.
    """
    rows = min(len(images), _PANELS)
    colours = ["#4d4d4d", *(COLOURS[i % 6] for i in range(len(names) - 1))]
    figure = Figure(figsize=(7, 2.2 * rows + 0.8), layout="constrained")
    grid = figure.subplots(rows, 3, squeeze=False)
    options = dict(cmap=ListedColormap(colours), vmin=-0.5, vmax=len(names) - 0.5)
    for axes, image, mask, guess in zip(grid, images, true, given, strict=False):
        axes[0].imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray")
        for ax, classes in ((axes[1], mask), (axes[2], guess)):
            shown = ax.imshow(np.ma.masked_greater_equal(classes, len(names)), **options)
        for ax in axes:
            hide_axes(ax)
    for ax, title in zip(grid[0], ("image", "mask", "prediction"), strict=True):
        ax.set_title(title)
    bar = figure.colorbar(shown, ax=grid, location="bottom", fraction=0.03, aspect=40)
    bar.set_ticks(range(len(names)), labels=names)
    return figure


def mask_beside(image: np.ndarray, mask: np.ndarray, names: tuple[str, ...]) -> Figure:
    """An image and the classes of its pixels, one beside the other."""
    colours = ["#4d4d4d", *(COLOURS[i % len(COLOURS)] for i in range(len(names) - 1))]
    figure = Figure(figsize=(6, 4.1), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=255)
    options = dict(cmap=ListedColormap(colours), vmin=-0.5, vmax=len(names) - 0.5)
    shown = right.imshow(mask, interpolation="nearest", **options)
    for ax, title in ((left, "image"), (right, "prediction")):
        hide_axes(ax)
        ax.set_title(title)
    bar = figure.colorbar(shown, ax=[left, right], location="bottom", fraction=0.06, aspect=40)
    bar.set_ticks(range(len(names)), labels=names)
    return figure
