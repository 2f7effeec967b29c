"""What a kernel is called, by what it does."""

from experiments.compiled_for.hlo import Computation, Instruction

FORWARD = "cuDNN forward"
FORWARD_FUSED = "cuDNN forward, bias and activation"
BACKWARD_INPUT = "cuDNN backward input"
BACKWARD_FILTER = "cuDNN backward filter"
CUDNN = "cuDNN fusion"
MATMUL = "cuBLAS"
TRITON = "Triton"
SCATTER = "scatter"
SELECT_AND_SCATTER = "select-and-scatter"
COLLECTIVES = (
    "all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all",
    "collective-broadcast", "ragged-all-to-all",
)  # fmt: skip

_CALLS = {
    "__cudnn$convForward": FORWARD,
    "__cudnn$convForwardGraph": FORWARD_FUSED,
    "__cudnn$convBiasActivationForward": FORWARD_FUSED,
    "__cudnn$convBackwardInput": BACKWARD_INPUT,
    "__cudnn$convBackwardFilter": BACKWARD_FILTER,
    "__cublas$gemm": MATMUL,
    "__cublas$lt$matmul": MATMUL,
    "__cublas$lt$matmul$f8": MATMUL,
}
_FREE = {
    "parameter", "constant", "get-tuple-element", "tuple", "bitcast", "after-all", "partition-id",
    "replica-id", "opt-barrier", "add-dependency", "get-dimension-size", "domain",
}  # fmt: skip
# Of fusions, by what is done in them, the first that fits.
_INSIDE = (
    ("scatter", SCATTER),
    ("select-and-scatter", SELECT_AND_SCATTER),
    ("reduce-window", "reduce-window"),
    ("convolution", "convolution"),
    ("dot", "matmul"),
    ("sort", "sort"),
    ("reduce", "reduce"),
)
_LAYOUT = {"parameter", "transpose", "bitcast", "copy", "reshape", "tuple"}
_FREE_CALLS = ("ConcatBitcast", "AllocateBuffer", "SliceBitcast", "AssumeGatherIndicesInBound")


def free(instruction: Instruction) -> bool:
    """Whether an instruction is no kernel."""
    operation = instruction.operation
    if operation == "custom-call":
        return instruction.text("custom_call_target") in _FREE_CALLS
    return operation in _FREE or operation.endswith(("-done", "-update"))


def of(instruction: Instruction, inside: Computation | None) -> str:
    """The kind of a kernel, from its instruction and from the computation that it calls."""
    if instruction.operation == "custom-call":
        target = instruction.text("custom_call_target")
        return _CALLS.get(target, target)
    if inside is None:
        return instruction.operation.removesuffix("-start")
    custom = instruction.text("kind")
    if "__triton" in instruction.attributes:
        return TRITON
    if '"__cudnn$fusion"' in instruction.attributes:
        return CUDNN
    if inside.operations <= _LAYOUT:
        return "transpose" if "transpose" in inside.operations else "copy"
    found = next((kind for part, kind in _INSIDE if part in inside.operations), "fusion")
    return f"{found} ({custom})" if custom == "kCustom" and found == "fusion" else found
