"""What an H100 would run, by its own compiler: so many kernels, so many bytes, no scatter.

Bytes are those of the compiled program over the least that must be moved: each array in or out
once. To see what a row comes to: `python -m experiments.benchmark --compile-for h100`.
"""

import pytest

from experiments.benchmark.programs import BOTH, FORWARD
from experiments.compiled_for import workers
from experiments.compiled_for.description import load
from experiments.compiled_for.kinds import FORWARD_FUSED

WORKER = "tests.lowering.compiled_for"
H100 = load("h100")
pytestmark = pytest.mark.skipif(bool(H100.missing), reason=H100.missing)

# Row of the benchmark, dtype -> most kernels, most bytes over the least; forward and backward.
MOST = {
    ("max 2x2 strides 2", "float32"): (2, 1.2),
    ("max 3x3 strides 2", "float32"): (2, 1.1),
    ("max 3x3 strides 2", "bfloat16"): (2, 1.2),
    ("max 3x3", "float32"): (2, 1.2),
    ("max 31x31", "float32"): (4, 2.4),
    ("avg 3x3", "float32"): (2, 1.05),
    ("avg 3x3", "bfloat16"): (2, 1.05),
    ("sum 3x3 strides 2", "float32"): (2, 1.05),
    ("lp 3x3 strides 2", "float32"): (2, 1.65),
    ("lp 3x3 strides 2", "bfloat16"): (2, 1.85),
    ("logsumexp 3x3 strides 2", "float32"): (2, 1.6),
    ("adaptive avg 13x13 to 6x6", "float32"): (2, 1.05),
    ("adaptive max 13x13 to 6x6", "float32"): (2, 1.1),
    ("conv 3x3, 64 to 64", "float32"): (5, 1.55),
    ("conv 3x3 dilated by 2", "float32"): (6, 1.6),
    ("conv depthwise 3x3", "float32"): (3, 1.55),
    ("transposed 4x4 strides 2, 128 to 64", "float32"): (5, 1.7),
    ("unpool 2x2", "float32"): (5, 1.3),
    ("deform 3x3, 64 to 64", "float32"): (18, 23.5),
    ("grey dilation 3x3", "float32"): (4, 1.5),
    ("unfold 3x3", "float32"): (2, 1.05),
}
CASES = [*((name, dtype, BOTH) for name, dtype in MOST), ("conv + bias + relu", "float32", FORWARD)]


@pytest.fixture(scope="module")
def found():
    """All of them, compiled by one process."""
    tasks = [dict(name=name, dtype=dtype, mode=mode) for name, dtype, mode in CASES]
    answers = workers.answers(WORKER, tasks, H100.environment, at_once=1)
    return {(task["name"], task["dtype"]): answer for task, answer in answers}


@pytest.mark.parametrize(("name", "dtype"), MOST)
def test_kernels_and_bytes(found, name, dtype):
    compiled = found[name, dtype]
    assert "error" not in compiled, compiled
    kernels, times = MOST[name, dtype]
    assert compiled["kernels"] <= kernels, compiled
    assert compiled["times"] <= times, compiled
    assert not {"scatter", "select-and-scatter"} & set(compiled["kinds"]), compiled


def test_a_bias_and_an_activation_are_part_of_the_convolution(found):
    kinds = found["conv + bias + relu", "float32"]["kinds"]
    assert kinds.get(FORWARD_FUSED) == 1 and set(kinds) <= {FORWARD_FUSED, "transpose"}, kinds


def test_blocks_that_are_computed_anew_hold_less():
    tasks = [{"anew": anew} for anew in (False, True)]
    answers = workers.answers(WORKER, tasks, H100.environment, at_once=1)
    kept, anew = (answer["temporary"] for _, answer in answers)
    assert anew < 0.6 * kept, (anew, kept)
