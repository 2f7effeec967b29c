"""What a GPU and a TPU compute is what the reference does: their forms are run here."""

import jax
import pytest

from jaxcnn.testing import as_on, compare_row, primitives
from jaxcnn.testing.twice import compare_twice

# Now, before another test registers functions of its own.
CASES = {name: list(entry.cases.values()) for name, entry in primitives().items()}


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("name", CASES)
def test_every_case_of_a_primitive(name, platform):
    """Values and gradients, wherever something differs by platform; the others are held already."""
    for case in CASES[name]:
        if "by_platform" not in str(jax.make_jaxpr(case.fn)(*case.arrays())):
            continue
        with as_on(platform):
            outcome = compare_twice(case, "float64", {"highest": None})["highest"]
        assert outcome.passed, f"{case.name}: {outcome.message}"


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("name", ["max_pool", "sum_pool", "conv_transpose"])
def test_a_row_under_all_transformations(name, platform):
    row = compare_row(CASES[name][0], "float64", platform=platform)
    assert row.passed, row.message
    assert {"second", "jit", "checkpoint", "scan"} <= set(row.errors)
