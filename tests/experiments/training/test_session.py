"""What the command lines of all experiments share; `test_train.py` and `test_lenet.py` run them."""

import pytest

from experiments.training import session


@pytest.mark.parametrize(
    ("size", "there", "used"), [(64, 8, 8), (50, 8, 5), (50, 1, 1), (7, 4, 1), (4, 8, 4)]
)
def test_most_devices_that_divide_a_batch(size, there, used):
    assert session.most_devices(size, there) == used
