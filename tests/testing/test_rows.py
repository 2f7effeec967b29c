"""Rows of the table are chosen and compared: some of the library's, and some that are wrong."""

import re

import pytest

from jaxcnn import functional, reference
from jaxcnn.testing import compare_row, primitives, register, select

# Now, before another test registers functions of its own.
FIRST_CASES = {name: next(iter(entry.cases.values())) for name, entry in primitives().items()}
pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.mark.parametrize("name", list(FIRST_CASES)[::4])
def test_first_case_of_a_primitive_agrees(name):
    """Of some: the suites of all primitives hold them against the same derivations."""
    row = compare_row(FIRST_CASES[name], FIRST_CASES[name].dtypes[0], transforms=False)
    assert row.passed, row.message
    assert {"rev", "fwd", "second"} <= set(row.errors)


def test_every_public_primitive_is_compared():
    """A primitive is added to the comparison together with its hand-derived gradient."""
    derived = {name.removesuffix("_vjp") for name in reference.__all__ if name.endswith("_vjp")}
    assert derived | set(functional.__all__) - {"plan"} <= set(primitives())


def test_transforms_and_dtypes_of_the_example(softplus):
    assert list(softplus.cases) == ["plain", "sharp"]
    row = compare_row(softplus.cases["sharp"], "float64")
    assert row.passed and {"jit", "vmap x", "checkpoint", "scan"} <= set(row.errors)
    assert row.largest("vmap") == row.errors["vmap x"] and row.largest("nothing") is None
    low = compare_row(softplus.cases["plain"], "bfloat16")
    assert low.passed and set(low.errors) == {"rev", "fwd"}


def test_wrong_gradient_and_broken_function_fail_their_rows_alone():
    def broken(x):
        raise RuntimeError("no such kernel")

    entry = register("halved", lambda x: x * x, lambda c, x: c * x, dtypes=("float64",))
    entry.case("plain", (3, 2))
    register("broken", broken).case("plain", (2,))
    row = compare_row(entry.cases["plain"], "float64", transforms=False)
    assert not row.passed and re.search(r"`x` \(argument 0\).*6 of 6 elements differ", row.message)
    assert row.errors["rev"] == pytest.approx(1) and row.errors["differences"] < 1e-8
    register("undrawn", broken).case("plain", lambda rng, dtype: rng.no_such_draw())
    assert len(select("undrawn", dtype=("float32",), algorithms=True)) == 1
    assert not compare_row(primitives()["undrawn"].cases["plain"], "float32").passed
    row = compare_row(primitives()["broken"].cases["plain"], "float32")
    assert not row.passed and row.message == "broken: RuntimeError: no such kernel"


def test_selection_by_name_and_by_part():
    names = {case.primitive for case, _ in select("conv")}
    assert names == {"conv"}
    assert {case.name for case, _ in select(": ceil")} >= {"ceil mode"}
    with pytest.raises(ValueError, match=r"select: `filter` \(='conv: x'\) fits no row; .*, conv,"):
        select("conv: x")
    with pytest.raises(ValueError, match=r"select: `dtype` \(=\('int8',\)\) .* have: float64"):
        select("conv", dtype=("int8",))
