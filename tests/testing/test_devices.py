"""Batches split among devices: a difference is found, NaN and infinities are no difference."""

import numpy as np
import pytest

from jaxcnn.testing import GradientError, compare_row, devices, fixed, register

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.mark.parametrize(
    ("element", "value", "match"),
    [
        (None, None, ""),
        (0, np.nan, "element .0,.*two devices nan, one device 1,"),
        (1, 0.0, "element .1,.*two devices 0, one device nan,"),
        (2, -np.inf, "two devices -inf, one device inf,"),
        (3, np.inf, "two devices inf, one device -inf,"),
        (4, 2 + 1e-6, "two devices 2.000001, one device 2,"),
    ],
)
def test_a_split_batch_is_held_element_by_element(monkeypatch, element, value, match):
    """NaN is held to be NaN, and infinity to be the same infinity, in values and gradients."""

    def split(problems):
        found = []
        for outputs, gradients in (devices.pulled(*problem) for problem in problems):
            moved = np.array(outputs)
            if element is not None:
                moved[element] = value
            found.append((moved, gradients))
        return found

    monkeypatch.setattr(devices, "values_and_gradients", split)
    numbers = np.array([1.0, np.nan, np.inf, -np.inf, 2.0])
    case = register("same", lambda x: x).case("extremes", fixed(numbers)).cases["extremes"]
    if element is None:
        assert devices.check_split(case, [numbers]).largest("sharded") == 0
        return
    with pytest.raises(GradientError, match=match):
        devices.check_split(case, [numbers])


def test_a_gradient_of_a_split_batch_that_differs_fails_its_row(softplus, monkeypatch):
    def split(problems):
        ((outputs, gradients),) = (devices.pulled(*problem) for problem in problems)
        return [(outputs, {0: gradients[0] + 1e-6})]

    monkeypatch.setattr(devices, "can_split", lambda arrays: True)
    monkeypatch.setattr(devices, "values_and_gradients", split)
    row = compare_row(softplus.cases["plain"], "float64")
    assert not row.passed and 1e-7 < row.errors["sharded"] < 1e-5
    assert "two devices and one device differ in the gradient for argument 0" in row.message
