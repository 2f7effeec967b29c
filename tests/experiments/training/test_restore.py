"""The network of a run: the newest, the best, and that of another model."""

import numpy as np
import pytest
from flax import nnx

from experiments.commands.command import UserError
from experiments.training.restore import restore
from experiments.training.runs import Run

pytestmark = pytest.mark.usefixtures("plain_jax")


def test_newest_and_best_of_a_run(tiny_run, tiny_data, make_tiny_model):
    folder, state, _ = tiny_run
    run = Run(folder)
    kernel = restore(run, make_tiny_model).linear.kernel[...]
    np.testing.assert_array_equal(kernel, state.model["params"]["linear"]["kernel"])
    best = restore(run, make_tiny_model, best=True)
    images, labels = tiny_data.test.arrays()
    accuracy = (best(images / np.float32(255)).argmax(-1) == labels).mean()
    assert accuracy == pytest.approx(max(line["test_accuracy"] for line in run.metrics()))
    with pytest.raises(UserError, match="of another model"):
        restore(run, lambda rngs: nnx.Linear(3, 4, rngs=rngs))
