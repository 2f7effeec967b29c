"""Weights from PyTorch and back: safetensors files, torchvision's and timm's names."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from flax import nnx

from jaxcnn._checks import modules as checks
from jaxcnn._checks.naming import named
from jaxcnn.models import _values
from jaxcnn.models._torch import checks as fitting
from jaxcnn.models._torch import files, layout, match, own
from jaxcnn.models._torch import networks as known
from jaxcnn.models._torch.fit import OWN, fit
from jaxcnn.models._torch.report import TorchReport, listed

# Counts the batches seen, in every batch normalisation of PyTorch; nothing here depends on it.
_IGNORED = "num_batches_tracked"


@named
def load_torch(
    model: nnx.Module,
    weights: str | os.PathLike[str] | Mapping[str, Any],
    *,
    rename: Mapping[str, str] | Callable[[str], str | None] | None = None,
    strict: bool = True,
    skip: str | Sequence[str] = (),
    flattened: Mapping[str, tuple[int, ...]] | None = None,
    rngs: nnx.Rngs | None = None,
) -> TorchReport:
    """Sets the parameters and statistics of `model` to those of the same network in PyTorch.

    Names are torchvision's, timm's or the paths of the model's layers ("features.conv1.weight"),
    whichever fit best; "module.", "model." and "_orig_mod." around them don't matter. If arrays are
    left, and so are layers, these are paired by their shapes and, among those of the same shapes,
    by the order of the code (of a state dict and of a model that was built, not put together by
    Flax) or the numbers in their names; where neither tells, that is an error.

    Kernels OIHW become HWIO, matrices are transposed; a first fully connected layer takes its
    inputs in our order, channels last. A layer at several paths has each of its names, or one of
    them, and layers whose parameters are stacked, by `nnx.vmap`, those of
    `torch.func.stack_module_state`: the axis of the stack comes first. Arrays are cast to the
    dtypes of the parameters, and go to the devices where these lie. On an error the model is left
    as it was. Nothing is ever unpickled: of a `.pth` the error says how to convert it.

    Args:
      model: any module of these networks', Flax's and this library's layers; also one from
        `nnx.eval_shape`, whose parameters have no values yet, and are laid over devices as their
        shardings or partitionings say.
      weights: path of a safetensors file, or of the `.index.json` of several; or a state dict:
        names and arrays, PyTorch's own tensors included.
      rename: changes the names in the weights to those looked for: {"beginning": "other"}, or a
        function from a name to a name, or to None to leave it out.
      strict: whether an array or a parameter without its counterpart, or of another shape, is an
        error; else they are left out and told.
      skip: names or beginnings of names, of layers that stay as they are: "fc" for a head with
        another number of classes.
      flattened: {"path of a fully connected layer": (height, width)} of the maps that were
        flattened for it, where the model does not say it; (1, 1) if none were.
      rngs: gives keys, from the stream "dropout", to dropouts that have none yet, as
        `nnx.eval_shape` leaves them; None stands for `nnx.Rngs(0)`.
    Returns:
      What was taken, skipped and missing; `model` is changed.
    Raises:
      ValueError: the file is no whole safetensors file; or entries are missing, unknown, of another
        shape or no floats, all listed in the one message; or the model has parameters of its own
        without values; or the mesh that it is to be laid over is unknown.
      TypeError: an argument is of the wrong type.
      ImportError: a path is given and the package safetensors is not installed.

    Example:
      >>> import numpy as np
      >>> from flax import nnx
      >>> from jaxcnn import models
      >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
      >>> theirs = {"head.weight": np.zeros((3, 2)), "head.bias": np.zeros(3)}
      >>> models.load_torch(model, theirs, rename={"head": ""})
      TorchReport: 2 arrays taken, under the model's own names
        skipped: nothing
        missing: nothing
    """
    if not isinstance(model, nnx.Module):
        raise TypeError(f"`model` must be a flax.nnx.Module, got {type(model).__name__}")
    if rngs is not None:
        checks.rngs(rngs, "dropout")
    checks.flag("strict", strict)
    skipped = (skip,) if isinstance(skip, str) else skip
    if not isinstance(skipped, (tuple, list)) or not all(isinstance(n, str) for n in skipped):
        raise TypeError(f"`skip` (={skip!r}) must be a name or names of layers")
    tables = {kind: _table(model, kind, flattened) for kind in (*_kinds(model), OWN)}
    with contextlib.ExitStack() as opened:
        arrays = _arrays(weights, opened)
        pairs, report = fit(
            model,
            tables,
            arrays,
            rename=rename,
            strict=strict,
            skip=skipped,
            in_code_order=isinstance(weights, Mapping) and list(arrays) != sorted(arrays),
        )
        fitting.values(model, [entry for entry, _ in pairs])
        ours = [
            _values.placed(entry.variable, entry.to_ours(np.asarray(array)))
            for entry, array in pairs
        ]
    for (entry, _), value in zip(pairs, ours, strict=True):
        entry.variable.set_value(value)
    _values.fill_streams(model, nnx.Rngs(0) if rngs is None else rngs)
    return report


def _arrays(weights: Any, opened: contextlib.ExitStack) -> dict[str, Any]:
    """The arrays by name, those of a file not read yet."""
    if isinstance(weights, Mapping):
        arrays = {str(name): value for name, value in weights.items()}
    elif isinstance(weights, (str, os.PathLike)):
        arrays = opened.enter_context(files.opened(os.fspath(weights)))
    else:
        raise TypeError(
            f"`weights` must be the path of a safetensors file or a mapping from "
            f"names to arrays, got {type(weights).__name__}"
        )
    return {name: value for name, value in arrays.items() if not name.endswith(_IGNORED)}


@named
def save_torch(
    model: nnx.Module,
    path: str | os.PathLike[str],
    *,
    names: str | TorchReport | None = None,
    rename: Mapping[str, str] | Callable[[str], str | None] | None = None,
    flattened: Mapping[str, tuple[int, ...]] | None = None,
) -> None:
    """Writes the parameters and statistics of `model` for the same network in PyTorch.

    The file loads with `safetensors.torch.load_file` and `load_state_dict`. The number of batches
    that PyTorch's batch normalisations count is left out, which `load_state_dict` puts up with.

    A file that was there is replaced at the end, by a whole one, or stays as it was.

    Args:
      model: any module, as in `load_torch`.
      path: of the safetensors file, in a folder that is there.
      names: whose names the arrays get: "torchvision", "timm" or "own", the paths of the model's
        layers; None stands for the first of these that there are for the network. Or what
        `load_torch` returned: the names that the arrays had in the weights.
      rename: changes these names to those written, as in `load_torch`.
      flattened: as in `load_torch`.
    Returns:
      None.
    Raises:
      ValueError: there are no such names for the network, or it has no values.
      TypeError: the network lacks layers of those it is called after, or `path` is no path.
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
      ...     len(models.load_torch(model, path).taken)
      22
    """
    if not isinstance(model, nnx.Module):
        raise TypeError(f"`model` must be a flax.nnx.Module, got {type(model).__name__}")
    kinds, old = (*_kinds(model), OWN), dict[str, list[str]]()
    if isinstance(names, TorchReport):
        for theirs, ours in names.taken:
            old.setdefault(ours, []).append(theirs)
        names = names.names if names.names in kinds else OWN
    names = kinds[0] if names is None else names
    if names not in kinds:
        raise ValueError(
            f"`names` (={names!r}) must be one of {', '.join(kinds)} for {type(model).__name__}"
        )
    target = _target(path)
    table = _table(model, names, flattened, whole=True)
    variables = {id(entry.variable) for entry in table.values()}
    empty = [n for n, leaf in _values.valueless(model).items() if id(leaf) in variables]
    if empty:
        raise ValueError(
            f"`model` has no values for {listed(empty)}: nnx.eval_shape "
            "gives shapes alone; build the model itself, or load weights first"
        )
    paths = _values.paths(model)
    table = {
        written: each
        for name, each in table.items()
        for written in old.get(paths[id(each.variable)], [name])
    }
    arrays = {
        new: table[name].to_torch(np.asarray(table[name].variable[...]))
        for new, name in match.renamed(table, rename).items()
    }
    library = files.safetensors()
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
    """Whose names there are for the network, besides its own."""
    network = known.network(model)
    return () if network is None else known.NETWORKS[network][1]


def _table(
    model: nnx.Module, kind: str, flattened: Any, whole: bool = False
) -> dict[str, layout.Entry]:
    """Every array of the network by its PyTorch name, if the network is still whole."""
    if kind == OWN:
        return layout.entries(own.pairs(model, flattened))
    network: Any = known.network(model)
    try:
        pairs = list(known.NETWORKS[network][0](model, kind))
    except AttributeError as error:
        raise TypeError(f"`model` must have the layers of {network.__name__}; {error}") from error
    lost = [prefix for prefix, layer in pairs if layer is None]
    if lost and whole:
        raise ValueError(
            f"`model` has another classifier than {network.__name__}, and {kind} no names for "
            f"it; names={OWN!r} saves all under the paths of its layers"
        )
    return layout.entries((prefix, layer) for prefix, layer in pairs if layer is not None)
