"""`mock:NAME`: noise in the form of a data set of TFDS, to try a program where the real one is not.

Features, shapes and number of classes are the real ones; images whose shape varies are small.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.data.library import import_tfds, silence, tidy
from experiments.data.source import find_builder

PREFIX = "mock:"
TRAIN, TEST = 96, 32


def mock_examples(name: str) -> tuple[object, Sequence[dict]]:
    """The features of a data set, and `TRAIN + TEST` examples of noise, the same every time.

    Args:
      name: as for `load`, without the prefix.
    Raises:
      UserError: there is no such data set.
    """
    tfds = import_tfds()
    find_builder(tfds, name, Path("no files"))
    with silence(), tfds.testing.mock_data(TRAIN + TEST, policy=tfds.testing.MockPolicy.USE_CODE):
        with tidy():
            builder = tfds.builder(name)
        source = builder.as_data_source("train")
        return builder.info.features, [source[number] for number in range(TRAIN + TEST)]


def fit_masks(
    examples: Sequence[dict], inputs: str, target: str, first_class: int, classes: int
) -> None:
    """Brings masks of noise, which have any size and any numbers, to their images and classes."""
    for example in examples:
        height, width, _ = example[inputs].shape
        mask = Image.fromarray(example[target][..., 0])
        mask = np.asarray(mask.resize((width, height), Image.Resampling.NEAREST))
        example[target] = first_class + mask % np.uint8(classes)
