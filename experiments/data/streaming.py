"""Large data sets as a stream of batches, read and decoded by grain while the device computes.

The stream is one endless list of batches: epoch after epoch, each in an order of its own, cut into
global batches without a gap, so that a batch may hold the end of an epoch and the start of the
next. Of every global batch each process reads its part. So all processes take the same number of
steps, an epoch shows every example exactly once, and a batch depends on the seed and its number
only: not on the number of processes, and not on where a run was stopped.
"""

import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.commands.command import UserError, extra, require
from experiments.data.crops import Pair, middle_crop, random_crop
from experiments.data.split import Split

if TYPE_CHECKING:
    import grain

THREADS = min(8, max(1, (os.cpu_count() or 2) // 2))
"""More of them only wait for each other: measured with 28 x 28 PNG on 2 cores, 1 thread read 7,100
images/s and 16 threads 3,800."""


def stream(
    split: Split,
    *,
    batch_size: int,
    seed: int,
    image_size: int | Pair | None = None,
    process_index: int = 0,
    process_count: int = 1,
    threads: int = THREADS,
) -> "grain.DatasetIterator":
    """Batches to train on, without end.

    Images that are not of `image_size` are cut and resized to it: a random part, mirrored half of
    the time, drawn by the example's place in the stream. Masks are cut the same way.

    Args:
      split: what to read.
      batch_size: images in a batch of this process.
      seed: of the orders and the crops, 0 to 2**32 - 1.
      image_size: height and width; one number stands for both; None leaves images as they are.
      process_index: which part of every global batch to read, 0 to `process_count` - 1.
      process_count: parts of a global batch, which has `batch_size * process_count` images.
      threads: that read and decode, each a batch at a time.
    Returns:
      An iterator over images, uint8 `(batch_size, height, width, channels)`, and labels, int32
      `(batch_size,)`, or masks, uint8. `get_state()` gives a dict for JSON, `{"next_index": step}`,
      after which `set_state` goes on exactly.
    Raises:
      UserError: an option is out of range, or the images have no one size; while reading, a file
        is damaged.
    """
    size = _check(split, batch_size, image_size, process_index, process_count, threads)
    require(0 <= seed < 2**32, "seed", seed, "must be 0 or more and below 2**32")
    grain = _import_grain()
    examples = grain.MapDataset.source(_Encoded(split)).seed(seed)
    if len(split) > 1:
        examples = examples.shuffle()
    examples = examples.random_map(functools.partial(_to_train_on, split, size)).repeat()
    batches = examples.batch(batch_size)[process_index::process_count]
    return iter(batches.to_iter_dataset(grain.ReadOptions(threads, 2 * threads)))


def read_once(
    split: Split,
    *,
    batch_size: int,
    image_size: int | Pair | None = None,
    process_index: int = 0,
    process_count: int = 1,
    threads: int = THREADS,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The split once, in its own order, in batches of one shape; all processes take as many steps.

    Images that are not of `image_size` are resized, and their middle is cut out.

    Args:
      split: what to read.
      batch_size: as for `stream`.
      image_size: as for `stream`.
      process_index: as for `stream`.
      process_count: as for `stream`.
      threads: as for `stream`.
    Returns:
      An iterator over images and targets as of `stream`, and whether each counts, bool
      `(batch_size,)`: what is lacking at the end is filled with zeros, which do not.
    Raises:
      UserError: as `stream`.
    """
    size = _check(split, batch_size, image_size, process_index, process_count, threads)
    grain = _import_grain()
    count = -(-len(split) // (batch_size * process_count)) * process_count
    batches = grain.MapDataset.source(_Batches(split, size, batch_size, count))
    batches = batches[process_index::process_count]
    return iter(batches.to_iter_dataset(grain.ReadOptions(threads, 2 * threads)))


def _import_grain():
    """Only where it is needed: it takes a second."""
    with extra("experiments"):
        import grain
    return grain


class _Encoded:
    """A source for grain: the content of the files."""

    def __init__(self, split: Split):
        self._split = split

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._split.encoded(index)


class _Batches:
    """A source for grain: whole batches; those behind the end hold nothing that counts."""

    def __init__(self, split: Split, size: Pair | None, batch_size: int, count: int):
        self._split, self._size, self._batch_size, self._count = split, size, batch_size, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first = index * self._batch_size
        rows = range(first, min(first + self._batch_size, len(self._split)))
        examples = [self._example(row) for row in rows] or [self._example(0)]
        images, targets = (np.stack(part) for part in zip(*examples, strict=True))
        valid = np.arange(self._batch_size) < len(rows)
        return _fill(images, valid), _fill(targets, valid), valid

    def _example(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        change = functools.partial(middle_crop, size=self._size) if self._size else None
        image, target = self._split.layout.decode(*self._split.encoded(row), change)
        return image, _typed(target)


def _to_train_on(split: Split, size: Pair | None, example: tuple, rng: np.random.Generator):
    change = functools.partial(random_crop, size=size, rng=rng) if size else None
    image, target = split.layout.decode(*example, change)
    return image, _typed(target)


def _typed(target: int | np.ndarray) -> np.ndarray:
    return target if isinstance(target, np.ndarray) else np.asarray(target, np.int32)


def _fill(array: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """As many rows as `valid`, those that are not being zeros."""
    filled = np.zeros((len(valid), *array.shape[1:]), array.dtype)
    filled[valid] = array[: valid.sum()]
    return filled


def _check(
    split: Split,
    batch_size: int,
    image_size: int | Pair | None,
    process_index: int,
    process_count: int,
    threads: int,
) -> Pair | None:
    """The height and width to cut to, None where the images have them already."""
    for name, value in (("batch_size", batch_size), ("threads", threads)):
        require(value >= 1, name, value, "must be 1 or more")
    rule = f"must be 0 to {process_count - 1}, below the number of processes"
    require(0 <= process_index < process_count, "process_index", process_index, rule)
    shape = split.layout.shape[:-1]
    if not len(split):
        raise UserError(f"{split.layout.name}: there is nothing to read, it has 0 examples")
    if image_size is None:
        rule = f"must be given: the images of {split.layout.name} are of several sizes"
        require(None not in shape, "image_size", image_size, rule)
        return None
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    require(len(size) == 2 and min(size) >= 1, "image_size", image_size, "must be 1 or more pixels")
    rule = f"does not go with signals, which {split.layout.name} holds; leave it out"
    require(len(shape) == 2, "image_size", image_size, rule)
    return None if size == shape else size
