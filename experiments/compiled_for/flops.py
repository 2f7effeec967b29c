"""Operations of convolutions and products of matrices, from their shapes.

A multiplication and an addition are two. Taps that lie in the padding are counted, as cuDNN
computes them.
"""

import math
import re

from experiments.compiled_for.hlo import Computation, Instruction, Shape

_LABELS = re.compile(r"\bdim_labels=(\w+)_(\w+)->(\w+)")
_CONTRACTED = re.compile(r'lhs_contracting_dim(?:ension)?s"?[=:][{\[]([^}\]]*)')
_NAMED = {"f32": "tf32"}  # products of float32 run on tensor cores unless more is asked for


def of(
    computation: Computation, instruction: Instruction, inside: Computation | None
) -> tuple[int, str]:
    """Operations of an instruction and of what it calls, and the type they are computed in."""
    if inside is None:
        work = _one(computation, instruction)
        return work, _dtype(computation, instruction) if work else ""
    parts = [(of(inside, part, None)) for part in inside.instructions]
    return sum(work for work, _ in parts), next((dtype for work, dtype in parts if work), "")


def _one(computation: Computation, instruction: Instruction) -> int:
    shapes = [o.shapes[0] for o in computation.operands(instruction) if o.shapes]
    if len(shapes) < 2 or not instruction.shapes:
        return 0
    labels = _LABELS.search(instruction.attributes)
    if labels and instruction.operation in ("convolution", "custom-call"):
        return _convolution(instruction, shapes, labels.group(2))
    target = instruction.text("custom_call_target")
    if instruction.operation == "dot" or target.startswith("__cublas"):
        contracted = _CONTRACTED.search(instruction.attributes)
        axes = [int(n) for n in re.findall(r"\d+", contracted.group(1))] if contracted else []
        width = math.prod(shapes[0].dims[axis] for axis in axes if axis < len(shapes[0].dims))
        return 2 * instruction.elements * width
    return 0


def _convolution(instruction: Instruction, shapes: list[Shape], kernel_labels: str) -> int:
    """Every output takes in all of the kernel but for its features."""
    target = instruction.text("custom_call_target")
    result = instruction.shapes[0]
    outputs, kernel = result, shapes[1]
    if target.endswith("BackwardInput"):
        outputs = shapes[0]
    elif target.endswith("BackwardFilter"):
        outputs, kernel = shapes[1], result
    features = kernel.dims[kernel_labels.index("o")]
    return 2 * outputs.elements * kernel.elements // max(features, 1)


def _dtype(computation: Computation, instruction: Instruction) -> str:
    dtype = next(computation.operands(instruction)).shapes[0].dtype
    highest = re.search(r"operand_precision\W+(HIGHEST|highest)", instruction.attributes)
    return dtype if highest else _NAMED.get(dtype, dtype)
