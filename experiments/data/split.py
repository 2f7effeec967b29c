"""A data set and its two splits: what they hold, one example at a time or as whole arrays."""

import dataclasses
import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from experiments.commands.command import UserError
from experiments.data import grey_png
from experiments.data.decoding import to_array, to_image, to_mask

DEVICE_BYTES = 10**9
"""Splits of up to this many bytes live on the device; larger ones are streamed."""

AGAIN = (
    "delete that folder and prepare it again (the next run does so for the sets of this project)"
)
"""What helps against damaged files."""


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """Where the image and what is to be learnt from it lie in an example."""

    name: str
    """Of the data set, for messages."""
    folder: Path
    """Of its files, for messages."""
    inputs: str
    """Name of the feature that is an image, or a signal."""
    target: str
    """Name of the feature that is a label or a mask."""
    shape: tuple[int | None, ...]
    """Of an input: `(height, width, channels)` or `(length, channels)`; None where it varies."""
    is_mask: bool
    """Whether the target has a class for every pixel."""
    first_class: int = 0
    """The number that stands for the first class in the files."""
    classes: int | None = None
    """How many a label may be of; None where any number goes."""

    def decode(
        self, image: Any, target: Any, change: Callable | None = None
    ) -> tuple[np.ndarray, int | np.ndarray]:
        """An image and its target as arrays, and classes from 0 on.

        Args:
          image: the content of an image file, or an array.
          target: a number, the content of a mask's file, or an array.
          change: `(image, mask or None) -> (image, mask or None)`, of Pillow; not for signals.
        """
        try:
            mask = to_mask(target) if self.is_mask else None
            if isinstance(image, bytes) or change:
                image = to_image(image, self.shape[-1], self.shape[:-1])
                if mask and mask.size != image.size:
                    raise ValueError(f"a mask of {mask.size} pixels, an image of {image.size}")
                image, mask = change(image, mask) if change else (image, mask)
                image = to_array(image)
            if mask is None:
                label = int(target) - self.first_class
                if self.classes is not None and not 0 <= label < self.classes:
                    raise ValueError(f"label {label} where there are {self.classes} classes")
                return image, label
            return image, np.asarray(mask) - np.uint8(self.first_class)
        except Exception as error:  # Pillow has its own for every format
            raise damaged(self.folder, error) from error


class Split:
    """Examples by number: an image, uint8 `(height, width, channels)`, and its target.

    The target is the label, an int, or a mask, uint8 `(height, width)`. Signals have one spatial
    axis: `(length, channels)`.
    """

    def __init__(self, examples: Sequence[dict], layout: Layout, rows: np.ndarray | None = None):
        """Takes all examples, or those that `rows` numbers."""
        self._examples, self.layout = examples, layout
        self._rows = range(len(examples)) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int | np.ndarray]:
        return self.layout.decode(*self.encoded(index))

    def encoded(self, index: int) -> tuple[Any, Any]:
        """The image and the target as the files hold them: the content of image files."""
        row = int(self._rows[operator.index(index)])
        try:
            example = self._examples[row]
            return example[self.layout.inputs], example[self.layout.target]
        except Exception as error:  # array_record and protobuf have their own
            raise damaged(self.layout.folder, error) from error

    @property
    def nbytes(self) -> int | None:
        """Bytes of all images as uint8; None where their shapes vary."""
        if None in self.layout.shape:
            return None
        return len(self) * int(np.prod(self.layout.shape))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The whole split: `(n, *image)`, uint8, and labels `(n,)`, int32, or masks, uint8.

        Raises:
          UserError: an example cannot be read, or the images are not all of one size.
        """
        encoded = self._all_encoded()
        plain = self._all_plain(encoded)
        examples = plain or [self.layout.decode(*each) for each in encoded]
        sizes = {image.shape for image, _ in examples}
        if len(sizes) > 1:
            raise UserError(
                f"{self.layout.name}: all images must have one size to be held as one array; "
                f"received {len(sizes)} sizes, among them {sorted(sizes)[:3]}"
            )
        images, targets = zip(*examples, strict=True)
        return np.stack(images), np.asarray(targets, np.uint8 if self.layout.is_mask else np.int32)

    def _all_encoded(self) -> list[tuple[Any, Any]]:
        """`encoded` of all, read at once where the files can be, in half of the time."""
        if not (len(self) and hasattr(self._examples, "__getitems__")):
            return [self.encoded(row) for row in range(len(self))]
        try:
            examples = self._examples.__getitems__([int(row) for row in self._rows])
            return [(each[self.layout.inputs], each[self.layout.target]) for each in examples]
        except Exception as error:
            raise damaged(self.layout.folder, error) from error

    def _all_plain(self, encoded: list[tuple[Any, Any]]) -> list[tuple[np.ndarray, Any]]:
        """All of them decoded, where all are grey images of the plainest form; else none."""
        height, width, channels = (*self.layout.shape, 0, 0)[:3]
        if self.layout.is_mask or channels != 1 or None in (height, width):
            return []
        images = grey_png.decode([image for image, _ in encoded], height, width)
        if images is None:
            return []
        pairs = zip(images[..., None], (target for _, target in encoded), strict=True)
        return [self.layout.decode(*each) for each in pairs]


@dataclasses.dataclass(frozen=True, slots=True)
class Dataset:
    """A data set by name: what is in it, and a split to train on and one to test with."""

    name: str
    task: Literal["classification", "segmentation"]
    classes: tuple[str, ...]
    """Their names, in the order of their numbers."""
    image_shape: tuple[int | None, ...]
    """`(height, width, channels)`, or `(length, channels)` of signals; None where it varies."""
    train: Split
    test: Split

    @property
    def kind(self) -> Literal["images", "signals"]:
        """What it holds."""
        return "signals" if len(self.image_shape) == 2 else "images"

    @property
    def streamed(self) -> bool:
        """Whether it is too large for the device, or of images that no one array can hold."""
        nbytes = [self.train.nbytes, self.test.nbytes]
        return None in nbytes or sum(nbytes) > DEVICE_BYTES

    def shape_at(self, image_size: Sequence[int] | None) -> tuple[int | None, ...]:
        """`image_shape` once images are brought to that height and width; as it is for None."""
        return (*(image_size or self.image_shape[:-1]), self.image_shape[-1])


def damaged(folder: Path, reason: object) -> UserError:
    """The error for a prepared data set that is there but cannot be read."""
    return UserError(f"the data set in {folder} is damaged ({first_line(reason)}); {AGAIN}")


def first_line(reason: object) -> str:
    """The first line of a message, or what kind of error has none."""
    return str(reason).strip().partition("\n")[0] or type(reason).__name__
