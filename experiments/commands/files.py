"""Files that strangers may have made: read from plain files alone, and within limits.

A file may be a queue or a device, which never ends; a link out of its folder, through which a write
would reach anything; larger than the memory; or JSON nested so deeply that reading it fails.
"""

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Any


def read(path: Path, most: int) -> bytes:
    """The content of a plain file; a link to one is followed.

    Args:
      path: of the file.
      most: bytes that it may have; a larger one is not read.
    Raises:
      OSError: it cannot be read.
      ValueError: it is no plain file, or a larger one.
    """
    # Without O_NONBLOCK a queue is waited for until somebody writes to it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no plain file")
        if status.st_size > most:
            raise ValueError(f"it has {status.st_size:,} bytes, at most {most:,} are read")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(status.st_size)
    finally:
        os.close(descriptor)


def parse(content: bytes) -> Any:
    """What JSON in UTF-8 says.

    Raises:
      ValueError: it is no JSON, too deeply nested, or has two values of one name.
    """
    try:
        return json.loads(content.decode(), object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def check_plain(folder: Path) -> None:
    """Looks at all that is in a folder, and in the folders in it.

    Raises:
      OSError: a folder cannot be read.
      ValueError: something is neither a plain file nor a folder. A link is none, wherever it leads.
    """
    folders = [os.fspath(folder)]
    while folders:
        with (
            contextlib.suppress(FileNotFoundError),  # another program is at work in it
            os.scandir(folders.pop()) as entries,
        ):
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif not entry.is_file(follow_symlinks=False):
                    kind = "a link" if entry.is_symlink() else "neither a file nor a folder"
                    raise ValueError(f"{os.path.relpath(entry.path, folder)} is {kind}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("two values have one name")
    return values
