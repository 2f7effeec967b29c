"""How PyTorch lays out the parameters of a layer: where each axis of ours is found."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from flax import nnx

from jaxcnn import nn

_HWIO = (nnx.Conv, nn.DeformConv, nn.PartialConv, nn.ResizeConv)
_SCALED = (nnx.BatchNorm, nnx.LayerNorm, nnx.GroupNorm, nnx.InstanceNorm, nnx.RMSNorm)
CONVOLUTIONS = (*_HWIO, nnx.ConvTranspose, nn.DepthwiseConv)
LAYERS = (*CONVOLUTIONS, *_SCALED, nnx.Linear, nnx.LinearGeneral, nnx.Embed, nnx.PReLU)
ARRAYS = ("kernel", "bias", "scale", "mean", "var", "embedding", "negative_slope")  # of these


class Seen:
    """A layer or a parameter that PyTorch holds in another shape."""

    def __init__(self, layer: Any, sizes: tuple[int, ...] = ()):
        self.layer, self.sizes = layer, sizes


class Flattened(Seen):
    """A fully connected layer after a flattening: channels first there, last here."""


class AsConv(Seen):
    """A fully connected layer kept as a convolution over the whole image."""


class PerChannel(Seen):
    """A vector kept as `(channels, 1, 1)`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One array under its PyTorch name.

    Attributes:
      name: its name in a state dict.
      variable: the variable of ours that holds it.
      split: our array's shape with gathered axes taken apart.
      order: the axes of `split` in PyTorch's order.
      shape: its shape in PyTorch.
      turned: axes of `split` that run the other way in PyTorch.
    """

    name: str
    variable: nnx.Variable
    split: tuple[int, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]
    turned: tuple[int, ...] = ()

    def to_ours(self, array: np.ndarray) -> np.ndarray:
        """PyTorch's array in our layout."""
        ordered = array.reshape([self.split[axis] for axis in self.order])
        ours = np.flip(ordered.transpose(np.argsort(self.order)), self.turned)
        return ours.reshape(self.variable.shape)

    def to_torch(self, array: np.ndarray) -> np.ndarray:
        """Our array in PyTorch's layout."""
        theirs = np.flip(array.reshape(self.split), self.turned).transpose(self.order)
        return np.ascontiguousarray(theirs).reshape(self.shape)  # which makes an axis of none


def entries(pairs: Iterable[tuple[str, Any]]) -> dict[str, Entry]:
    """Every array of the layers by its PyTorch name; one that several share, by each of theirs."""
    return {entry.name: entry for prefix, layer in pairs for entry in _arrays(prefix, layer)}


def _arrays(prefix: str, layer: Any) -> Iterator[Entry]:
    """The arrays of one layer."""
    if isinstance(layer, nnx.Variable):
        yield _as_it_is(prefix, layer)
        return
    if isinstance(layer, PerChannel):
        (channels,) = layer.layer.shape
        yield Entry(prefix, layer.layer, (channels,), (0,), (channels, 1, 1))
        return
    inner = layer.layer if isinstance(layer, Seen) else layer
    prefix = f"{prefix}." if prefix else ""  # a model that is a single layer
    pairs = {"bias": getattr(inner, "bias", None)}
    if isinstance(inner, _SCALED):
        pairs["weight"] = inner.scale
        if isinstance(inner, nnx.BatchNorm):
            pairs |= {"running_mean": inner.mean, "running_var": inner.var}
    elif isinstance(inner, nnx.Embed):
        pairs["weight"] = inner.embedding
    elif isinstance(inner, nnx.PReLU):
        shape = (*inner.negative_slope.shape, 1)
        yield Entry(f"{prefix}weight", inner.negative_slope, shape, tuple(range(len(shape))), shape)
    elif isinstance(inner, nnx.LinearGeneral):
        yield from _general(prefix, inner)
        return
    else:
        lead = inner.kernel.ndim - len(getattr(inner, "kernel_size", ())) - 2
        shape = inner.kernel.shape[lead:]
        yield _behind(lead, _kernel(f"{prefix}weight", layer, inner.kernel, shape))
    for name in ("weight", "bias", "running_mean", "running_var"):
        if pairs.get(name) is not None:
            yield _as_it_is(f"{prefix}{name}", pairs[name])


def _as_it_is(name: str, variable: Any) -> Entry:
    shape = variable.shape
    return Entry(name, variable, shape, tuple(range(len(shape))), shape)


def _behind(lead: int, entry: Entry) -> Entry:
    """The entry of one layer as that of several stacked along first axes, by `nnx.vmap`.

    There they stay the first ones, as in `torch.func.stack_module_state`.
    """
    first = entry.variable.shape[:lead]
    return Entry(
        entry.name,
        entry.variable,
        (*first, *entry.split),
        (*range(lead), *(axis + lead for axis in entry.order)),
        (*first, *entry.shape),
        tuple(axis + lead for axis in entry.turned),
    )


def _general(prefix: str, layer: nnx.LinearGeneral) -> Iterator[Entry]:
    """A fully connected layer over several axes, which PyTorch knows as one."""
    inside, outside = math.prod(layer.in_features), math.prod(layer.out_features)
    for name, variable, sizes in (
        ("weight", layer.kernel, (inside, outside)),
        ("bias", layer.bias, (outside,)),
    ):
        if variable is not None:
            axes = len(layer.out_features) + (name == "weight") * len(layer.in_features)
            lead = variable.ndim - axes  # those of a batch too
            order = tuple(reversed(range(len(sizes))))
            one = Entry(f"{prefix}{name}", variable, sizes, order, sizes[::-1])
            yield _behind(lead, one)


def _kernel(name: str, layer: Any, kernel: nnx.Variable, shape: tuple[int, ...]) -> Entry:
    """Weights: HWIO or (in, out) here; OIHW, IOHW or (out, in) there."""
    *taps, inside, outside = shape
    rank = len(taps)
    places = tuple(range(rank))
    if isinstance(layer, nn.DepthwiseConv):
        order = (rank, rank + 1, *places)
        return Entry(name, kernel, shape, order, (inside * outside, 1, *taps))
    if isinstance(layer, nnx.ConvTranspose):
        # Flax slides the kernel over the dilated inputs as it is; PyTorch transposes a convolution,
        # which turns it round, as Flax does with `transpose_kernel`.
        swapped = layer.transpose_kernel
        order = (rank + 1, rank, *places) if swapped else (rank, rank + 1, *places)
        there = tuple(shape[axis] for axis in order)
        return Entry(name, kernel, shape, order, there, () if swapped else places)
    if isinstance(layer, _HWIO):
        order = (rank + 1, rank, *places)
        return Entry(name, kernel, shape, order, tuple(shape[axis] for axis in order))
    if isinstance(layer, Seen):
        sizes = layer.sizes
        channels = inside // math.prod(sizes)
        there = (outside, inside)
        if isinstance(layer, AsConv):
            there = (outside, channels, *sizes)
        order = (len(sizes) + 1, len(sizes), *range(len(sizes)))
        return Entry(name, kernel, (*sizes, channels, outside), order, there)
    return Entry(name, kernel, shape, (1, 0), (outside, inside))
