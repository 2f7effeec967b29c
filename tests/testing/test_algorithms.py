"""Cases by each algorithm of their primitive."""

import jax
import pytest

from jaxcnn.testing import compare_row, primitives, register, select
from jaxcnn.testing.algorithms import by_algorithm

pytestmark = pytest.mark.usefixtures("own_registry")


def test_each_case_by_every_algorithm_that_takes_it():
    names = {case.name for case, _ in select("max_pool: 2-D", dtype=("float64",), algorithms=True)}
    assert names >= {"2-D", "2-D by shift", "2-D by tree", "2-D by window"}
    chosen = [case for case, _ in select("conv: 1x1", dtype=("float64",), algorithms=True)]
    assert any(case.name.endswith(" by matmul") for case in chosen)
    assert not any(case.name.endswith(" by planes") for case in chosen)


def test_a_case_that_was_compiled_has_its_options_in_each():
    case = primitives()["max_pool"].cases["2-D"]
    jax.jit(case.fn)  # which looks at its `__dict__`, and `partial` nests from there on
    for each in by_algorithm(case, case.arrays()):
        assert each.options.keys() - case.options.keys() == {"algorithm"}
        assert each.reference_options == case.reference_options != {}


def test_an_algorithm_that_breaks_is_a_row_that_differs():
    def breaks(x, *, algorithm="auto"):
        if algorithm == "shift":
            raise RuntimeError("no such kernel")
        if algorithm != "auto":
            raise ValueError("refused")
        return x

    register("breaks", breaks, dtypes=("float64",)).case("plain", (2, 3))
    rows = select("breaks", algorithms=True)
    assert [case.name for case, _ in rows] == ["plain", "plain by shift"]
    row = compare_row(*rows[1])
    assert not row.passed and row.message == "breaks: RuntimeError: no such kernel"
