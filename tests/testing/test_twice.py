"""A row as one program, run twice: against the reference, and bit by bit against itself."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.testing import primitives, register
from jaxcnn.testing.twice import TF32_RTOL, compare_twice

pytestmark = pytest.mark.usefixtures("own_registry")


def test_values_and_gradients_of_rows_of_the_table():
    conv = primitives()["conv"].cases["strides"]
    found = compare_twice(conv, "float32")
    assert list(found) == ["highest", "default"]  # other programs
    assert all(outcome.passed for outcome in found.values())
    assert 0 < found["highest"].errors["rev"] < 1e-6 and found["highest"].errors["bits"] == 0
    pool = primitives()["max_pool_with_indices"].cases["ties"]
    found = compare_twice(pool, "float32")
    assert list(found) == ["highest"]  # a pool has no products
    assert found["highest"].passed and found["highest"].errors["value"] == 0  # indices too
    (narrow,) = compare_twice(pool, "bfloat16", {"default": None}).values()
    assert narrow.passed and narrow.dtype == "bfloat16"


def test_without_a_reference_values_are_held_against_a_cpu_in_float64():
    register("cube", lambda x: x**3, lambda c, x: 3 * c * x**2).case("plain", (3, 4))
    (found,) = compare_twice(primitives()["cube"].cases["plain"], "float32").values()
    assert found.passed and 0 < found.errors["value"] < 1e-6


def test_what_differs_is_told():
    runs = itertools.count()

    def other_each_time(x):
        kind = jax.ShapeDtypeStruct((), x.dtype)
        noise = jax.pure_callback(lambda: np.asarray(next(runs) * 1e-6, x.dtype), kind)
        return x + jax.lax.stop_gradient(noise)

    def raises(x):
        raise RuntimeError("no such kernel")

    cases = {
        "moving": (other_each_time, lambda c, x: c),
        "halved": (lambda x: x * x, lambda c, x: c * x),
        "raises": (raises, None),
    }
    said = {}
    for name, (fn, vjp) in cases.items():
        register(name, fn, vjp, dtypes=("float32",)).case("a", (3, 4))
        (found,) = compare_twice(
            primitives()[name].cases["a"], "float32", {"highest": None}
        ).values()
        assert not found.passed
        said[name] = found.message
    assert said["moving"].endswith("other bits the second time in output 0")
    assert "the hand-derived VJP" in said["halved"] and "all by the factor 2" in said["halved"]
    assert said["raises"] == "raises: RuntimeError: no such kernel"


def test_tolerance_of_a_precision_is_not_below_that_of_the_case():
    def rounded(x):
        return x * jnp.asarray(1 + TF32_RTOL / 2, x.dtype)

    entry = register("rounded", rounded, lambda c, x: c, dtypes=("float32",))
    check = functools.partial(compare_twice, entry.case("a", (3, 4)).cases["a"], "float32")
    (exact,), (tf32,) = (
        check({"highest": rtol}).values() for rtol in (None, TF32_RTOL)
    )  # fmt: skip
    assert tf32.errors["rev"] == pytest.approx(TF32_RTOL / 2, rel=1e-2)
    assert tf32.passed and not exact.passed
