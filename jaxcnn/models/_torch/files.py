"""Files of weights: safetensors, whole or in several files with an index; nothing is unpickled."""

import contextlib
import importlib
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

INDEX = ".index.json"
_PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pickle", ".tar")
_MOST_INDEX = 2**26  # bytes: some 500,000 names
_LETTERS = 120  # of a name in a message


def safetensors() -> Any:
    """The package, which is wanted only here."""
    try:
        importlib.import_module("safetensors.numpy")
        return importlib.import_module("safetensors")
    except ImportError as error:
        raise ImportError("needs the package safetensors; install jaxcnn[weights]") from error


class InFile:
    """An array in a safetensors file: known by shape and dtype, and read when it is asked for."""

    def __init__(self, file: Any, name: str, path: str):
        described = file.get_slice(name)
        self.shape, self.dtype = tuple(described.get_shape()), described.get_dtype()
        self._file, self._name, self._path = file, name, path

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        with _refused(self._path):
            return np.asarray(self._file.get_tensor(self._name), dtype)


@contextlib.contextmanager
def opened(path: str) -> Iterator[dict[str, InFile]]:
    """The arrays of a file, or of all that an index names; they claim what they like until checked.

    Args:
      path: of a safetensors file, or of an index, which ends in `.index.json`.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"`weights` (={path!r}) is no file")
    if path.lower().endswith(_PICKLES):
        raise ValueError(
            f"`weights` (={path!r}) is a pickle by its name, and nothing is unpickled here; "
            f"convert it where PyTorch is, by {_conversion(path)}"
        )
    with contextlib.ExitStack() as held:
        if not path.endswith(INDEX):
            yield held.enter_context(_file(path))
            return
        named: dict[str, list[str]] = {}
        for name, file in _index(path).items():
            named.setdefault(file, []).append(name)
        arrays = {}
        for file, names in named.items():
            part = held.enter_context(_file(os.path.join(os.path.dirname(path), file)))
            for name in names:
                if name not in part:
                    raise ValueError(
                        f"`weights` (={path!r}) says that {name[:_LETTERS]!r} is in "
                        f"{file[:_LETTERS]!r}, and it is not; fetch all files anew"
                    )
                arrays[name] = part[name]
        yield arrays


def _conversion(path: str) -> str:
    """The two lines that turn a pickle into a safetensors file."""
    target = f"{os.path.splitext(path)[0]}.safetensors"
    return (
        f"`import torch, safetensors.torch` and `safetensors.torch.save_file({{n: t.clone("
        f"memory_format=torch.contiguous_format) for n, t in torch.load({path!r}, "
        f"map_location='cpu', weights_only=True).items()}}, {target!r})`"
    )


def _index(path: str) -> dict[str, str]:
    """Which array lies in which file, all of them beside the index."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_INDEX + 1)
        if len(content) > _MOST_INDEX:
            raise ValueError("it is too long")
        names = json.loads(content)["weight_map"]
        if not isinstance(names, dict) or not all(isinstance(n, str) for n in names.values()):
            raise ValueError("its weight_map is none")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"`weights` (={path!r}) is no index of safetensors files ({error}); it must hold "
            '{"weight_map": {"name": "file.safetensors", ...}}'
        ) from error
    for file in set(names.values()):
        plain = file == os.path.basename(file) and file.isprintable()
        if not (plain and file.endswith(".safetensors")):
            raise ValueError(
                f"`weights` (={path!r}) must name safetensors files beside it; "
                f"it names {file[:_LETTERS]!r}"
            )
    return names


@contextlib.contextmanager
def _file(path: str) -> Iterator[dict[str, InFile]]:
    """The arrays of one safetensors file."""
    library = safetensors()
    if not os.path.isfile(path):
        raise FileNotFoundError(f"`weights` (={path!r}) is no file, and the index names it")
    with contextlib.ExitStack() as held:
        with _refused(path):
            file = held.enter_context(library.safe_open(path, framework="np"))
            arrays = {name: InFile(file, name, path) for name in file.keys()}
        yield arrays


@contextlib.contextmanager
def _refused(path: str) -> Iterator[None]:
    """Says of what can't be read that it is no safetensors file, and what to do."""
    errors = (safetensors().SafetensorError, KeyError, OverflowError, MemoryError, OSError)
    try:
        yield
    except errors as error:
        raise ValueError(
            f"`weights` (={path!r}) is no whole safetensors file ({error}); a .pt or .pth file "
            f"is not read: convert it where PyTorch is, by {_conversion(path)}"
        ) from error
