"""The layers of any module under their own names, in the order in which they were set."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxcnn import geometry, nn
from jaxcnn.models._torch import layout

_NO_WEIGHTS = (nnx.RngState, nnx.Intermediate, nnx.Cache, nnx.Perturbation)


def pairs(
    model: nnx.Module, flattened: Mapping[str, tuple[int, ...]] | None = None
) -> Iterator[tuple[str, Any]]:
    """The path of every layer, and the layer.

    Args:
      model: any module.
      flattened: path of a fully connected layer -> sizes of the maps that were flattened for it.
    Raises:
      ValueError: the sizes suit no such layer, or those of a layer are needed and not known.
      TypeError: `flattened` is no mapping.
    """
    known = list(_walk("", model, ()))
    linear = {path: layer for path, layer in known if isinstance(layer, nnx.Linear)}
    sizes = {id(layer): size for layer, size in _said_by(model)}
    if flattened is not None and not isinstance(flattened, Mapping):
        raise TypeError(
            f"`flattened` (={flattened!r}) must be a mapping from layers to sizes, such as "
            "{'fc1': (5, 5)}"
        )
    for path, value in (flattened or {}).items():
        size = geometry.axes_tuple("flattened", value)
        if path not in linear or linear[path].in_features % math.prod(size):
            told = ", ".join(f"{name} of {each.in_features}" for name, each in linear.items())
            raise ValueError(
                f"`flattened` (={{{path!r}: {size}}}) must name a fully connected layer whose "
                f"inputs are so many pixels times their channels; there are: {told or 'none'}"
            )
        sizes[id(linear[path])] = size
    for path, layer in known:
        if id(layer) in sizes:
            yield path, layout.Flattened(layer, sizes[id(layer)])
            continue
        if isinstance(layer, nnx.Linear):
            _check_unflattened(path, layer, [each for _, each in known])
        yield path, layer


def _walk(path: str, node: Any, around: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """Depth first; what lies at several paths comes at each of them."""
    if id(node) in around:
        return
    if isinstance(node, nnx.Variable):
        if not isinstance(node, _NO_WEIGHTS) and jnp.issubdtype(node.dtype, jnp.inexact):
            yield path, node
        return
    held = children(node)
    if isinstance(node, layout.LAYERS):
        yield path, node
        held = {name: child for name, child in held.items() if name not in layout.ARRAYS}
    for name, child in held.items():
        yield from _walk(f"{path}.{name}" if path else name, child, (*around, id(node)))


def children(node: Any) -> dict[str, Any]:
    """What a module, a list or a dict holds, by name; of a chain, in its order."""
    if isinstance(node, (list, tuple)):
        return {str(index): child for index, child in enumerate(node)}
    if isinstance(node, Mapping):
        return {str(name): child for name, child in node.items()}
    if not isinstance(node, nnx.Pytree):
        return {}
    held = {name: child for name, child in vars(node).items() if not name.startswith("_pytree_")}
    if isinstance(node, nn.Chain):
        held = {name: held[name] for name in node.names if name in held}
    if isinstance(node, nnx.List):
        held = {str(index): held[str(index)] for index in range(len(node))}
    return held


def keeps_order(model: nnx.Module) -> bool:
    """Whether modules hold their layers in the order of the code, and not in that of the alphabet.

    Flax sorts the attributes of a module that it puts together, by `nnx.merge` or `nnx.eval_shape`.
    """
    for _, node in nnx.iter_graph(model):
        if isinstance(node, nnx.Module) and not isinstance(node, (nn.Chain, nnx.List)):
            names = [n for n, child in children(node).items() if isinstance(child, nnx.Module)]
            if names != sorted(names):
                return True
    return False


def _said_by(model: Any) -> Iterator[tuple[nnx.Linear, tuple[int, ...]]]:
    """The first fully connected layer of a classifier after a flattening, and sizes of the maps.

    They are those of a pool to a fixed size, () after a pool over all pixels, or follow from the
    `input_shape` of a model.
    """
    head, shape = getattr(model, "classifier", None), getattr(model, "input_shape", None)
    if not isinstance(head, nn.Chain):
        return
    sizes = None
    for index, layer in enumerate(head.layers):
        if isinstance(layer, nn.AdaptiveAvgPool) and None not in layer.output_shape:
            sizes = tuple(size for size in layer.output_shape if size is not None)
        elif isinstance(layer, (nn.GlobalAvgPool, nn.GlobalMaxPool)):
            sizes = ()  # each input is a channel
        elif isinstance(layer, nn.Flatten) and index == 0 and shape is not None:
            images = jax.ShapeDtypeStruct(shape, jnp.float32)
            maps = nnx.eval_shape(lambda model, x: model.features(x), model, images)
            sizes = maps.shape[:-1]
        elif isinstance(layer, nnx.Linear):
            if sizes is not None:
                yield layer, sizes
            return


def _check_unflattened(path: str, layer: nnx.Linear, layers: list[Any]) -> None:
    """Raises ValueError if the inputs of a layer are likely to be maps that were flattened."""
    inside = layer.in_features
    if inside in {getattr(each, "out_features", None) for each in layers if each is not layer}:
        return
    widths = [each.out_features for each in layers if isinstance(each, layout.CONVOLUTIONS)]
    likely = [width for width in widths if inside % width == 0]
    if likely:
        pixels = inside // likely[-1]
        root = math.isqrt(pixels)
        size = str((root, root)) if root * root == pixels else "(height, width)"
        raise ValueError(
            f"`flattened` must say of `{path}`, which has {inside} inputs, whether they are maps "
            f"that were flattened: PyTorch flattens channels first. Give their sizes, "
            f"flattened={{{path!r}: {size}}} for {pixels} pixels of {likely[-1]} channels, or "
            "(1, 1) where each input is a channel"
        )
