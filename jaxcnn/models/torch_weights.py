"""Weights from PyTorch and back: safetensors files, torchvision's and timm's names."""

import contextlib
import importlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxcnn.models import _torch_layout, _torch_names

# Counts the batches seen, in every batch normalisation of PyTorch; nothing here depends on it.
_IGNORED = "num_batches_tracked"
_FLOATS = ("F64", "F32", "F16", "BF16")  # as safetensors files call them
_TOLD = 12  # names of one kind in a message
_LETTERS = 120  # of a name in a message


def load_torch(model: nnx.Module, weights: str | os.PathLike[str] | Mapping[str, Any]) -> None:
    """Sets the parameters and statistics of `model` to those of the same network in PyTorch.

    Kernels OIHW become HWIO and matrices are transposed; a first fully connected layer takes its
    inputs in our order, channels last. Whether the names are torchvision's or timm's is seen from
    the names. Arrays are cast to the dtypes of the parameters. On an error the model is left as it
    was. Nothing is ever unpickled: a `.pt` or `.pth` file has to be saved as safetensors first.

    Args:
      model: an `AlexNet`, `VGG`, `ResNet`, `MobileNetV2` or `ConvNeXtTiny` of the same size; also
        one from `nnx.eval_shape`, whose parameters have no values yet.
      weights: path of a safetensors file, or a state dict: names and arrays, PyTorch's own tensors
        included.
    Returns:
      None; `model` is changed.
    Raises:
      ValueError: the file is no whole safetensors file; or entries are missing, unknown, of another
        shape or no floats, all listed in the one message.
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
    kinds = _kinds("load_torch", model)
    with contextlib.ExitStack() as opened:
        if isinstance(weights, Mapping):
            arrays = {str(name): value for name, value in weights.items()}
        elif isinstance(weights, (str, os.PathLike)):
            arrays = opened.enter_context(_open(os.fspath(weights)))
        else:
            raise TypeError(
                f"load_torch: `weights` must be the path of a safetensors file or a mapping from "
                f"names to arrays, got {type(weights).__name__}"
            )
        arrays = {name: value for name, value in arrays.items() if not name.endswith(_IGNORED)}
        tables = {names: _torch_layout.entries(model, names) for names in kinds}
        names = max(kinds, key=lambda kind: len(tables[kind].keys() & arrays.keys()))
        table = tables[names]
        arrays = {n: _as_array(value) if n in table else value for n, value in arrays.items()}
        _check(f"{type(model).__name__} under {names}'s names", table, arrays)
        ours = {name: entry.to_ours(np.asarray(arrays[name])) for name, entry in table.items()}
    for name, entry in table.items():
        dtype = entry.variable.get_value().dtype
        entry.variable.set_value(jax.device_put(ours[name].astype(dtype)))


def save_torch(
    model: nnx.Module, path: str | os.PathLike[str], *, names: str = "torchvision"
) -> None:
    """Writes the parameters and statistics of `model` for the same network in PyTorch.

    The file loads with `safetensors.torch.load_file` and `load_state_dict`. The number of batches
    that PyTorch's batch normalisations count is left out, which `load_state_dict` puts up with.

    Args:
      model: an `AlexNet`, `VGG`, `ResNet`, `MobileNetV2` or `ConvNeXtTiny`.
      path: of the safetensors file.
      names: "torchvision" or "timm", whose names the arrays get.
    Returns:
      None.
    Raises:
      ValueError: there are no such names for the network.
      TypeError: PyTorch has no such network.
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
    kinds = _kinds("save_torch", model)
    if names not in kinds:
        raise ValueError(
            f"save_torch: `names` (={names!r}) must be one of {', '.join(kinds)} for "
            f"{type(model).__name__}"
        )
    table = _torch_layout.entries(model, names)
    arrays = {n: entry.to_torch(np.asarray(entry.variable[...])) for n, entry in table.items()}
    _safetensors("save_torch").numpy.save_file(arrays, os.fspath(path), metadata={"format": "pt"})


def _kinds(function: str, model: Any) -> tuple[str, ...]:
    """Whose names there are for the network."""
    if type(model) not in _torch_names.NETWORKS:
        known = ", ".join(network.__name__ for network in _torch_names.NETWORKS)
        raise TypeError(f"{function}: `model` must be one of {known}, got {type(model).__name__}")
    return _torch_names.NETWORKS[type(model)][1]


def _safetensors(function: str) -> Any:
    """The package, which is wanted only here."""
    try:
        importlib.import_module("safetensors.numpy")
        return importlib.import_module("safetensors")
    except ImportError as error:
        raise ImportError(
            f"{function}: needs the package safetensors; install jaxcnn[weights]"
        ) from error


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
    library = _safetensors("load_torch")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"load_torch: `weights` (={path!r}) is no file")
    try:
        with library.safe_open(path, framework="np") as file:
            yield {name: _InFile(file, name) for name in file.keys()}
    except (library.SafetensorError, KeyError, OverflowError, MemoryError, OSError) as error:
        raise ValueError(
            f"load_torch: `weights` (={path!r}) is no whole safetensors file ({error}); a .pt or "
            ".pth file is not read: load it where it was made and save its state dict with "
            "safetensors.torch.save_file"
        ) from error


def _check(what: str, table: Mapping[str, _torch_layout.Entry], arrays: Mapping[str, Any]) -> None:
    """Raises ValueError unless the arrays are those of the table, and as they must be."""
    wrong = []
    for name, entry in table.items():
        array = arrays.get(name)
        if array is None:
            continue
        if array.shape != entry.shape:
            wrong.append(f"{name} is {array.shape} in place of {entry.shape}")
        elif not _is_float(array.dtype):
            wrong.append(f"{name} holds {array.dtype} in place of floats")
    found = {
        "missing": [name for name in table if name not in arrays],
        "unknown": [name for name in arrays if name not in table],
        "misshapen": wrong,
    }
    if any(found.values()):
        told = "; ".join(f"{kind}: {_listed(each)}" for kind, each in found.items() if each)
        raise ValueError(f"load_torch: `weights` must hold what {what} has; {told}")


def _is_float(dtype: Any) -> bool:
    return dtype in _FLOATS if isinstance(dtype, str) else jnp.issubdtype(dtype, jnp.floating)


def _listed(names: list[str]) -> str:
    """The first few, on one line: a stranger may have chosen them."""
    short = [n if len(n) <= _LETTERS else f"{n[:_LETTERS]}..." for n in names[:_TOLD]]
    told = ", ".join(n if n.isprintable() else ascii(n) for n in short)
    return told + (f" and {len(names) - _TOLD:,} more" if len(names) > _TOLD else "")


def _as_array(value: Any) -> Any:
    """An array of NumPy, from a PyTorch tensor too; what lies in a file stays there."""
    if isinstance(value, _InFile):
        return value
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # which has no way to NumPy of its own
            value = value.float()
    return np.asarray(value)
