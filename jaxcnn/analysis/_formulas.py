"""Formulas for the products of a call, where its Jaxpr shows something else.

The Jaxpr holds what the call was lowered to, which may multiply more or less than the call means.
"""

import math
from typing import Any

import jax
from flax import nnx

from jaxcnn import nn
from jaxcnn._planning.plan import Plan
from jaxcnn.analysis import _products
from jaxcnn.geometry import Windows


def name_program(plan: Plan, operands: dict[str, Any], outputs: Any) -> str | None:
    """The name that says what a call of `functional` costs; None where its parts say it.

    A weight of a convolution is used once at every output pixel, of a transposed one once at every
    input pixel, and of an unshared one once for each image. Pools, interpolations and what only
    moves pixels multiply nothing that is counted.
    """
    leaves = jax.tree.leaves(outputs)
    if plan.function in _KERNELS:
        products = _KERNELS[plan.function](plan.options, operands, leaves[0].shape)
    elif any("kernel" in name for name in operands):
        return None
    else:
        products = 0
    return _products.program(products, leaves)


def of_call(call: Any, module: Any, inputs: Any, outputs: Any) -> int | None:
    """Products of one call of a module; None where its Jaxpr says it."""
    formula = _CALLS.get(call)
    return None if formula is None else formula(module, inputs, outputs)


def _conv(options: dict[str, Any], operands: dict[str, Any], outputs: tuple[int, ...]) -> int:
    kernel, windows = operands["kernel"], options["convolution"].windows
    if all(step == 1 for step in windows.input_dilation):
        return _everywhere(options, operands, outputs)
    images = math.prod(outputs[: -1 - windows.rank])
    return images * math.prod(kernel.shape[windows.rank :]) * _met(windows)


def _met(windows: Windows) -> int:
    """Pairs of an output pixel and a tap."""
    axes = zip(
        *(windows.output_shape, windows.window_shape, windows.strides),
        *((low for low, _ in windows.padding), windows.dilation, windows.input_dilation),
        strict=True,
    )
    return math.prod(_products.met(*axis) for axis in axes)


def _general(options: dict[str, Any], operands: dict[str, Any], outputs: tuple[int, ...]) -> int:
    """Of `conv_general_dilated`, whose axes are in any order."""
    numbers = options["numbers"]
    batch, features = (outputs[axis] for axis in numbers.out_spec[:2])
    inside = operands["rhs"].shape[numbers.rhs_spec[1]]
    return batch * features * inside * _met(options["problem"].windows)


def _everywhere(options: Any, operands: dict[str, Any], outputs: tuple[int, ...]) -> int:
    kernels = (array.size for name, array in operands.items() if name.endswith("kernel"))
    return math.prod(outputs[:-1]) * sum(kernels)


def _transposed(options: Any, operands: dict[str, Any], outputs: Any) -> int:
    return math.prod(operands["inputs"].shape[:-1]) * operands["kernel"].size


def _unshared(options: Any, operands: dict[str, Any], outputs: tuple[int, ...]) -> int:
    kernel = operands["kernel"]  # (*out, *kernel_size, in, out_features)
    rank = (kernel.ndim - 2) // 2
    return math.prod(outputs[: -1 - rank]) * kernel.size


_KERNELS = {
    "conv": _conv,
    "conv_general_dilated": _general,
    "conv_local": _unshared,
    "conv_transpose": _transposed,
    "deform_conv": _everywhere,
    "depthwise_conv": _everywhere,
    "partial_conv": _everywhere,
    "resize_conv": _everywhere,
    "separable_conv": _everywhere,
}


def _pairs(module: nn.TableConv, inputs: Any, outputs: Any) -> int:
    """The kernel is laid into a dense one, with zeros where the table names no pair."""
    return math.prod(outputs.shape[:-1]) * module.kernel.size


def _flax_transposed(module: nnx.ConvTranspose, inputs: Any, outputs: Any) -> int:
    """Without the kernel's taps on padding, as for the one of this library."""
    args, options = inputs
    given = options["inputs"] if "inputs" in options else args[0]
    return math.prod(given.shape[:-1]) * module.kernel.size


# By the function that runs: a subclass with a call of its own is none of these.
_CALLS: dict[Any, Any] = {
    nn.TableConv.__call__: _pairs,
    nnx.ConvTranspose.__call__: _flax_transposed,
}
