"""Every call of every layer of a network, written down while shapes alone are worked out."""

import math
from dataclasses import dataclass
from typing import Any

import jax
from flax import nnx

from jaxcnn import nn

Path = tuple[Any, ...]

# Layers that multiply themselves beside the layers inside them.
COUNTED = (nn.DeformConv,)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one module: shapes and dtypes of what it took and gave."""

    path: Path
    module: nnx.Module
    leaf: bool
    inputs: tuple[Any, ...]
    outputs: Any


def record(model: nnx.Module, *inputs: Any) -> tuple[list[Call], Any]:
    """Runs the model on shapes; returns its modules' calls in the order of their ends, and outputs.

    The model itself is left alone: a copy that shares its arrays runs, each of its modules under a
    class of its own whose call is written down.
    """
    calls: list[Call] = []
    copy = nnx.merge(*nnx.split(model))
    for path, module in list(nnx.iter_modules(copy)):
        leaf = not list(nnx.iter_module_children(module))
        if callable(module):
            module.__class__ = _recorded(type(module), path, leaf, calls)
    outputs = nnx.eval_shape(lambda m, *x: m(*x), copy, *inputs)
    return calls, outputs


def _recorded(kind: Any, path: Path, leaf: bool, calls: list[Call]) -> Any:
    """`kind` with a call that is written down."""

    def __call__(self: Any, *args: Any, **options: Any) -> Any:
        outputs = kind.__call__(self, *args, **options)
        given = tuple(_shape(value) for value in args)
        calls.append(Call(path, self, leaf, given, jax.tree.map(_shape, outputs)))
        return outputs

    return type(kind.__name__, (kind,), {"__call__": __call__})


def _shape(value: Any) -> Any:
    """Shape and dtype of an array, anything else as it is."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return jax.ShapeDtypeStruct(value.shape, value.dtype)
    return value


def multiply_adds(call: Call) -> int:
    """Products that a layer with a kernel adds up in one call; 0 for all others.

    A weight of a convolution is used once at every output pixel, of a transposed one once at every
    input pixel, and of an unshared one once for each image.
    """
    weights = _weights(call.module)
    if not weights or not (call.leaf or isinstance(call.module, COUNTED)):
        return 0
    places: Any = call.outputs
    if isinstance(call.module, nnx.ConvTranspose):
        places = call.inputs[0]
    shape = jax.tree.leaves(places)[0].shape[:-1]
    if isinstance(call.module, nn.ConvLocal):
        shape = shape[: len(shape) - len(call.module.input_shape)]
    return math.prod(shape) * weights


def _weights(module: Any) -> int:
    """Entries of all kernels of a layer."""
    if isinstance(module, (nnx.BatchNorm, nnx.LayerNorm, nnx.GroupNorm)):
        return 0
    names = ("kernel", "depthwise_kernel", "pointwise_kernel")
    return sum(getattr(module, name).size for name in names if hasattr(module, name))
