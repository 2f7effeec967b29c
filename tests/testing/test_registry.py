"""What is registered: names are unique, and arguments are drawn as stated."""

import numpy as np
import pytest

from jaxcnn import testing
from jaxcnn.testing import register

pytestmark = pytest.mark.usefixtures("own_registry")


def test_names_are_unique():
    entry = register("twice", np.sin).case("plain", (2,))
    with pytest.raises(ValueError, match=r"register: 'twice' is registered already"):
        register("twice", np.sin)
    with pytest.raises(ValueError, match=r"register: twice has a case 'plain' already"):
        entry.case("plain", (2,))


def test_draws():
    rng = np.random.default_rng(0)
    assert testing.normal(2, 3)(rng, np.dtype("complex64")).dtype == np.complex64
    assert np.ptp(np.diff(np.sort(testing.distinct(4, 5)(rng, np.dtype(float)).ravel()))) < 1e-12
    assert set(testing.tied(50)(rng, np.dtype(float))) == {-2, -1, 0, 1, 2}
    values = testing.uniform(50, low=2, high=3)(rng, np.dtype("float32"))
    assert values.dtype == np.float32 and values.min() >= 2 and values.max() <= 3
    assert testing.fixed([1.5])(rng, np.dtype("float32")).dtype == np.float32
    assert testing.fixed([True])(rng, np.dtype("float32")).dtype == bool


def test_cases_draw_their_arguments_and_know_what_the_reference_takes():
    entry = register("shifted", lambda x, *, by, algorithm: x + by, lambda c, x, *, by: c)
    case = entry.case("plain", (3, 2), by=1, algorithm="none", dtypes=("bfloat16",)).cases["plain"]
    assert case.reference_options == {"by": 1}
    (array,) = case.arrays(seed=3)
    assert array.dtype == "bfloat16" and array.shape == (3, 2)
    (wide,) = case.arrays("float64", seed=3)
    np.testing.assert_array_equal(wide.astype(array.dtype), array)
    assert (case.arrays("float64")[0] != wide).all()
