"""Weights from PyTorch and back: safetensors files, torchvision's and timm's names."""

import contextlib
import importlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from flax import nnx

from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named
from jaxcnn.models import _torch_checks, _torch_layout, _torch_names, _values

# Counts the batches seen, in every batch normalisation of PyTorch; nothing here depends on it.
_IGNORED = "num_batches_tracked"


@named
def load_torch(
    model: nnx.Module,
    weights: str | os.PathLike[str] | Mapping[str, Any],
    *,
    rngs: nnx.Rngs | None = None,
) -> None:
    """Sets the parameters and statistics of `model` to those of the same network in PyTorch.

    Kernels OIHW become HWIO and matrices are transposed; a first fully connected layer takes its
    inputs in our order, channels last. Whether the names are torchvision's or timm's is seen from
    the names. Arrays are cast to the dtypes of the parameters, and go to the devices where these
    lie. On an error the model is left as it was. Nothing is ever unpickled: a `.pt` or `.pth` file
    has to be saved as safetensors first.

    Args:
      model: an `AlexNet`, `VGG`, `ResNet`, `MobileNetV2` or `ConvNeXtTiny` of the same size, or of
        a class of your own made from one; also one from `nnx.eval_shape`, whose parameters have no
        values yet, and are laid over devices as their shardings or partitionings say.
      weights: path of a safetensors file, or a state dict: names and arrays, PyTorch's own tensors
        included.
      rngs: gives keys, from the stream "dropout", to dropouts that have none yet, as
        `nnx.eval_shape` leaves them; None stands for `nnx.Rngs(0)`.
    Returns:
      None; `model` is changed.
    Raises:
      ValueError: the file is no whole safetensors file; or entries are missing, unknown, of another
        shape or no floats, all listed in the one message; or the model has parameters of its own
        without values; or the mesh that it is to be laid over is unknown.
      TypeError: PyTorch has no such network, or `weights` is neither a path nor a mapping.
      ImportError: a path is given and the package safetensors is not installed.

    Example:
      >>> import numpy as np
      >>> from flax import nnx
      >>> from jaxcnn import models
      >>> model = nnx.eval_shape(lambda: models.AlexNet(10, hidden_features=8, rngs=nnx.Rngs(0)))
      >>> try:
      ...     models.load_torch(model, {"features.0.bias": np.zeros(96)})
      ... except ValueError as error:
      ...     print(str(error)[:75])
      load_torch: `weights` must hold what AlexNet under torchvision's names has;
    """
    kinds = _kinds(model)
    if rngs is not None:
        checks.rngs(rngs, "dropout")
    with contextlib.ExitStack() as opened:
        if isinstance(weights, Mapping):
            arrays = {str(name): value for name, value in weights.items()}
        elif isinstance(weights, (str, os.PathLike)):
            arrays = opened.enter_context(_open(os.fspath(weights)))
        else:
            raise TypeError(
                f"`weights` must be the path of a safetensors file or a mapping from "
                f"names to arrays, got {type(weights).__name__}"
            )
        arrays = {name: value for name, value in arrays.items() if not name.endswith(_IGNORED)}
        tables = {names: _table(model, names) for names in kinds}
        bare = set(map(_torch_checks.bare, arrays))
        names = max(kinds, key=lambda kind: len(tables[kind].keys() & bare))
        table = tables[names]
        arrays = {n: _as_array(value) if n in table else value for n, value in arrays.items()}
        _torch_checks.arrays(f"{type(model).__name__} under {names}'s names", table, arrays)
        _torch_checks.values(model, table)
        ours = {
            name: _values.placed(entry.variable, entry.to_ours(np.asarray(arrays[name])))
            for name, entry in table.items()
        }
    for name, entry in table.items():
        entry.variable.set_value(ours[name])
    _values.fill_streams(model, nnx.Rngs(0) if rngs is None else rngs)


@named
def save_torch(
    model: nnx.Module, path: str | os.PathLike[str], *, names: str = "torchvision"
) -> None:
    """Writes the parameters and statistics of `model` for the same network in PyTorch.

    The file loads with `safetensors.torch.load_file` and `load_state_dict`. The number of batches
    that PyTorch's batch normalisations count is left out, which `load_state_dict` puts up with.

    A file that was there is replaced at the end, by a whole one, or stays as it was.

    Args:
      model: an `AlexNet`, `VGG`, `ResNet`, `MobileNetV2` or `ConvNeXtTiny`, or one of a class of
        your own made from one.
      path: of the safetensors file, in a folder that is there.
      names: "torchvision" or "timm", whose names the arrays get.
    Returns:
      None.
    Raises:
      ValueError: there are no such names for the network, or it has no values.
      TypeError: PyTorch has no such network, or `path` is no path.
      FileNotFoundError: there is no such folder.
      FileExistsError: a folder has that name.
      OSError: the file can't be written.
      ImportError: the package safetensors is not installed.

    Example:
      >>> import pathlib, tempfile
      >>> from flax import nnx
      >>> from jaxcnn import models
      >>> model = models.MobileNetV2(stages=((1, 8, 1, 1),), rngs=nnx.Rngs(0))
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder, "mobilenet.safetensors")
      ...     models.save_torch(model, path)
      ...     models.load_torch(model, path)
    """
    kinds = _kinds(model)
    if names not in kinds:
        raise ValueError(
            f"`names` (={names!r}) must be one of {', '.join(kinds)} for {type(model).__name__}"
        )
    target = _target(path)
    table = _table(model, names)
    known = {id(entry.variable) for entry in table.values()}
    empty = [n for n, leaf in _values.valueless(model).items() if id(leaf) in known]
    if empty:
        raise ValueError(
            f"`model` has no values for {_torch_checks.listed(empty)}: nnx.eval_shape "
            "gives shapes alone; build the model itself, or load weights first"
        )
    arrays = {n: entry.to_torch(np.asarray(entry.variable[...])) for n, entry in table.items()}
    library = _safetensors()
    unfinished = f"{target}.{os.getpid()}.part"
    try:
        library.numpy.save_file(arrays, unfinished, metadata={"format": "pt"})
        os.replace(unfinished, target)
    except (library.SafetensorError, OSError) as error:
        raise OSError(f"`path` (={target!r}) could not be written: {error}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(unfinished)


def _target(path: Any) -> str:
    """Where to write, if something can be written there."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"`path` must be the path of a file, got {type(path).__name__}")
    target = os.fspath(path)
    folder = os.path.dirname(target)
    if folder and not os.path.isdir(folder):
        raise FileNotFoundError(
            f"`path` (={target!r}) must lie in a folder that is there; make {folder!r} first"
        )
    if os.path.exists(target) and not os.path.isfile(target):
        raise FileExistsError(
            f"`path` (={target!r}) must be that of a file, and something else is "
            "there; add a name, such as 'model.safetensors'"
        )
    return os.path.realpath(target)


def _kinds(model: Any) -> tuple[str, ...]:
    """Whose names there are for the network."""
    network = _torch_names.network(model)
    if network is None:
        known = ", ".join(network.__name__ for network in _torch_names.NETWORKS)
        raise TypeError(f"`model` must be one of {known}, got {type(model).__name__}")
    return _torch_names.NETWORKS[network][1]


def _table(model: nnx.Module, names: str) -> dict[str, _torch_layout.Entry]:
    """Every array of the network by its PyTorch name, if the network is still whole."""
    try:
        return _torch_layout.entries(model, names)
    except AttributeError as error:
        network: Any = _torch_names.network(model)
        raise TypeError(f"`model` must have the layers of {network.__name__}; {error}") from error


def _safetensors() -> Any:
    """The package, which is wanted only here."""
    try:
        importlib.import_module("safetensors.numpy")
        return importlib.import_module("safetensors")
    except ImportError as error:
        raise ImportError("needs the package safetensors; install jaxcnn[weights]") from error


class _InFile:
    """An array in a safetensors file: known by shape and dtype, and read when it is asked for."""

    def __init__(self, file: Any, name: str):
        described = file.get_slice(name)
        self.shape, self.dtype = tuple(described.get_shape()), described.get_dtype()
        self._file, self._name = file, name

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._file.get_tensor(self._name), dtype)


@contextlib.contextmanager
def _open(path: str) -> Iterator[dict[str, _InFile]]:
    """The arrays of a safetensors file, which claims what it likes until they are checked."""
    library = _safetensors()
    if not os.path.isfile(path):
        raise FileNotFoundError(f"`weights` (={path!r}) is no file")
    try:
        with library.safe_open(path, framework="np") as file:
            yield {name: _InFile(file, name) for name in file.keys()}
    except (library.SafetensorError, KeyError, OverflowError, MemoryError, OSError) as error:
        raise ValueError(
            f"`weights` (={path!r}) is no whole safetensors file ({error}); a .pt or "
            ".pth file is not read: load it where it was made and save its state dict with "
            "safetensors.torch.save_file"
        ) from error


def _as_array(value: Any) -> Any:
    """An array of NumPy, from a PyTorch tensor too; what lies in a file stays there."""
    if isinstance(value, _InFile):
        return value
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # which has no way to NumPy of its own
            value = value.float()
    return np.asarray(value)
