"""How PyTorch lays out the parameters of a layer: where each axis of ours is found."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from flax import nnx

from jaxcnn.models import _torch_names


@dataclass(frozen=True, slots=True)
class Entry:
    """One array under its PyTorch name.

    Attributes:
      name: its name in a state dict.
      variable: the variable of ours that holds it.
      split: our array's shape with gathered axes taken apart.
      order: the axes of `split` in PyTorch's order.
      shape: its shape in PyTorch.
    """

    name: str
    variable: nnx.Variable
    split: tuple[int, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]

    def to_ours(self, array: np.ndarray) -> np.ndarray:
        """PyTorch's array in our layout."""
        ordered = array.reshape([self.split[axis] for axis in self.order])
        return ordered.transpose(np.argsort(self.order)).reshape(self.variable.shape)

    def to_torch(self, array: np.ndarray) -> np.ndarray:
        """Our array in PyTorch's layout."""
        return np.ascontiguousarray(
            array.reshape(self.split).transpose(self.order).reshape(self.shape)
        )


def entries(model: nnx.Module, names: str) -> dict[str, Entry]:
    """Every array of the network by its PyTorch name."""
    kind: Any = _torch_names.network(model)
    list_pairs, _ = _torch_names.NETWORKS[kind]
    return {
        entry.name: entry
        for prefix, layer in list_pairs(model, names)
        for entry in _arrays(prefix, layer)
    }


def _arrays(prefix: str, layer: Any) -> Iterator[Entry]:
    """The arrays of one layer."""
    if isinstance(layer, nnx.Variable):
        yield _as_it_is(prefix, layer)
    elif isinstance(layer, _torch_names.PerChannel):
        (channels,) = layer.layer.shape
        yield Entry(prefix, layer.layer, (channels,), (0,), (channels, 1, 1))
    elif isinstance(layer, nnx.BatchNorm):
        pairs = {"weight": layer.scale, "bias": layer.bias}
        for name, variable in {
            **pairs,
            "running_mean": layer.mean,
            "running_var": layer.var,
        }.items():
            yield _as_it_is(f"{prefix}.{name}", variable)
    elif isinstance(layer, nnx.LayerNorm):
        yield _as_it_is(f"{prefix}.weight", layer.scale)
        yield _as_it_is(f"{prefix}.bias", layer.bias)
    else:
        inner = layer.layer if isinstance(layer, _torch_names._Seen) else layer
        yield _kernel(f"{prefix}.weight", layer, inner.kernel)
        if inner.bias is not None:
            yield _as_it_is(f"{prefix}.bias", inner.bias)


def _as_it_is(name: str, variable: Any) -> Entry:
    shape = variable.shape
    return Entry(name, variable, shape, tuple(range(len(shape))), shape)


def _kernel(name: str, layer: Any, kernel: nnx.Variable) -> Entry:
    """Weights: HWIO or (in, out) here; OIHW or (out, in) there."""
    shape = kernel.shape
    *_, inside, outside = shape
    if isinstance(layer, nnx.Conv):
        rank = len(shape) - 2
        order = (rank + 1, rank, *range(rank))
        return Entry(name, kernel, shape, order, tuple(shape[axis] for axis in order))
    if isinstance(layer, _torch_names._Seen):
        rows, columns = layer.sizes
        channels = inside // (rows * columns)
        there = (outside, inside)
        if isinstance(layer, _torch_names.AsConv):
            there = (outside, channels, rows, columns)
        return Entry(name, kernel, (rows, columns, channels, outside), (3, 2, 0, 1), there)
    return Entry(name, kernel, shape, (1, 0), (outside, inside))
