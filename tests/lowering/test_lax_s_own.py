"""Where a TPU runs lax's own program: so its cycles are lax's, whether they were counted or not."""

import jax
import jax.numpy as jnp
import pytest

from experiments.benchmark import programs
from experiments.benchmark.compile_for import worker
from experiments.benchmark.programs import BOTH
from experiments.benchmark.selection import load_rows, select
from experiments.compiled_for import inlined

load_rows("primitives")
ROWS = {row.name: row for row in select("primitives", "convolution: , depthwise: ")}
OTHER = "conv depthwise 3x3, twice"  # of copies for its gradients


def program(row, call):
    """Forward and backward, in bfloat16, lowered for a TPU, its calls written out."""
    arrays = worker.shapes(row, jnp.dtype("bfloat16"))
    given = [*arrays, jax.eval_shape(row.ours, *arrays)]
    traced = jax.jit(programs.program(row.suite, BOTH, call, 1)).trace(*given)
    return inlined.text(traced.lower(lowering_platforms=("tpu",)))


@pytest.mark.parametrize("name", ROWS)
def test_dense_and_depthwise_convolutions(name):
    row = ROWS[name]
    assert (program(row, row.ours) == program(row, row.peers["lax"])) == (name != OTHER)
