"""A prepared data set looked at before TFDS opens it: its files may come from a stranger."""

import itertools
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.commands import files

_DESCRIPTIONS = ("dataset_info.json", "features.json")
_MOST_BYTES = 2**23  # of a description; ImageNet's have some 40 thousand
_CLASSES = "tensorflow_datasets."


def check_files(folder: Path) -> None:
    """Looks at all configurations and versions of a data set.

    TFDS waits for a queue without end, reads descriptions of any size, and imports the module that
    a feature names, whichever it is.

    Args:
      folder: `<data_dir>/<name>`, which holds `<version>/` or `<config>/<version>/`; absent or not.
    Raises:
      OSError: something cannot be looked at.
      ValueError: something is no plain file and no folder (links are followed), or a description is
        no such description.
    """
    for path in itertools.chain(folder.glob("*/*"), folder.glob("*/*/*")):
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise ValueError(f"{path.name} is no plain file")
        if path.name in _DESCRIPTIONS and stat.S_ISREG(mode):
            try:
                described = files.parse(files.read(path, _MOST_BYTES))
            except ValueError as error:
                raise ValueError(f"{path.name}: {error}") from None
            if not isinstance(described, dict):
                raise ValueError(f"{path.name} describes nothing")
            for name in _feature_classes(described):
                if not str(name).startswith(_CLASSES):
                    raise ValueError(f"{path.name} names {str(name)[:80]!r}, no feature of TFDS")


def check_split(folder: Path, split: Any) -> None:
    """Holds what TFDS has read of a split against the files.

    Args:
      folder: `<data_dir>/<name>/<version>`.
      split: TFDS's `SplitInfo`.
    Raises:
      OSError: the folder cannot be read.
      ValueError: the split has more shards than there are files, one that is none of them, or more
        examples than they have bytes.
    """
    sizes = {path: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    shards, examples = len(split.shard_lengths), sum(split.shard_lengths)
    if shards > len(sizes):
        raise ValueError(f"split {split.name} has {shards:,} shards in {len(sizes):,} files")
    paths = [Path(path) for path in split.filepaths]
    for path in paths:
        if path not in sizes:
            raise ValueError(f"split {split.name} lies in {path}, no file of it")
    if examples > sum(sizes[path] for path in paths):
        raise ValueError(f"split {split.name} has {examples:,} examples in fewer bytes")


def _feature_classes(described: Any) -> Iterator[Any]:
    """All that is to be imported, at any depth."""
    if isinstance(described, dict):
        for key, value in described.items():
            if key in ("pythonClassName", "python_class_name"):
                yield value
            yield from _feature_classes(value)
    elif isinstance(described, list):
        for value in described:
            yield from _feature_classes(value)
