"""What the tests of the references share."""

import numpy as np
import pytest


@pytest.fixture
def assert_gradient(rng):
    """A check of a pullback against central differences along a random direction."""

    def check(forward, vjp, inputs, step=1e-6):
        cotangent = rng.standard_normal(forward(inputs).shape)
        direction = rng.standard_normal(inputs.shape)
        ends = [(forward(inputs + s * direction) * cotangent).sum() for s in (step, -step)]
        (gradient,) = vjp(cotangent, inputs)
        along = (gradient * direction).sum()
        np.testing.assert_allclose(along, (ends[0] - ends[1]) / (2 * step), rtol=1e-6)

    return check
