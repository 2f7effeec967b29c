"""A data set by its name: which features it has, what is learnt from them, on which splits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from experiments.commands.command import UserError
from experiments.data.library import import_tfds
from experiments.data.masks import MASKS
from experiments.data.mock import PREFIX, TRAIN, fit_masks, mock_examples
from experiments.data.source import DATA_DIR, open_builder, open_split
from experiments.data.split import Dataset, Layout, Split

# The labels of their split "test" are not published.
_TESTS = {"imagenet2012": "validation", "places365_small": "validation"}
_HELD_OUT = 10  # of a set that has nothing to test with, every tenth example


def load(
    name: str, *, data_dir: Path | str = DATA_DIR, say: Callable[[str], object] = print
) -> Dataset:
    """Opens a data set: any image classification set of TFDS, or one of this project's own.

    A set without a split to test with ("test" or "validation") is tested with a tenth of its
    training examples, always the same. In segmentation sets the class of every pixel is learnt.

    Args:
      name: `name`, `name/config` or `name:version`, as for `tfds.builder`. With "mock:" before it:
        noise in the form of that data set, to try a program with.
      data_dir: folder of all data sets, `<data_dir>/<name>/<version>/`; "~" is the home folder.
      say: is told when something is prepared, which takes a while.
    Returns:
      The data set, of which nothing but its description has been read yet.
    Raises:
      UserError: the data set is unknown, cannot be had here (the message says how to get it),
        is damaged, or has no image and integer label.
    """
    if name.startswith(PREFIX):
        features, examples = mock_examples(name.removeprefix(PREFIX))
        layout, classes = describe(name, features, Path("no files"))
        if layout.is_mask:
            fit_masks(examples, layout.inputs, layout.target, layout.first_class, len(classes))
        splits = [Split(examples[:TRAIN], layout), Split(examples[TRAIN:], layout)]
    else:

        def described(builder):
            return describe(name, builder.info.features, Path(builder.data_path))

        builder = open_builder(name, data_dir, say, suits=described)
        layout, classes = described(builder)
        splits = _splits(builder, layout)
    task = "segmentation" if layout.is_mask else "classification"
    return Dataset(name, task, classes, layout.shape, *splits)


def describe(name: str, features, folder: Path) -> tuple[Layout, tuple[str, ...]]:
    """What is to be learnt from which features, and the names of the classes."""
    tfds = import_tfds()
    base_name = name.removeprefix(PREFIX).partition("/")[0].partition(":")[0]
    inputs = "signal" if "signal" in features else "image"
    target = "segmentation_mask" if base_name in MASKS else "label"
    wanted = [features[key] if key in features else None for key in (inputs, target)]
    if (
        None in wanted
        or wanted[0].np_dtype != np.uint8
        or wanted[0].shape[-1] not in (1, 3)
        or (target == "label" and not isinstance(wanted[1], tfds.features.ClassLabel))
    ):
        listed = ", ".join(f"{key}: {value}" for key, value in features.items())
        raise UserError(
            f"load: `name` (={name!r}) must be a data set with a grey or coloured image of bytes "
            f'under "image" and a class under "label"; its features are {listed}'
        )
    shape = tuple(wanted[0].shape)
    if base_name in MASKS:
        first_class, classes = MASKS[base_name]
        return Layout(name, folder, inputs, target, shape, True, first_class), classes
    classes = tuple(wanted[1].int2str(number) for number in range(wanted[1].num_classes))
    layout = Layout(name, folder, inputs, target, shape, is_mask=False, classes=len(classes))
    return layout, classes


def _splits(builder, layout: Layout) -> tuple[Split, Split]:
    names = list(builder.info.splits)
    test = _TESTS.get(builder.name)
    test = test or next((each for each in ("test", "validation") if each in names), None)
    if "train" not in names:
        raise UserError(f"load: {layout.name} has no split to train on; it has {sorted(names)}")
    train = open_split(builder, "train")
    if test is None:
        held = np.arange(len(train)) % _HELD_OUT == _HELD_OUT - 1
        rows = np.flatnonzero(~held), np.flatnonzero(held)
        return Split(train, layout, rows[0]), Split(train, layout, rows[1])
    return Split(train, layout), Split(open_split(builder, test), layout)
