"""take_in_order: what `np.take` gives, with a gradient whose places never collide."""

import jax
import numpy as np
import pytest

from jaxcnn.lowering.take import take_in_order


@pytest.mark.parametrize(
    "indices, scatters",
    [
        ([0, 1, 2], 0),
        ([1, 3, 5], 0),
        ([4], 0),
        ([0, 1, 3, 6], 1),
        ([0, 0, 0, 2, 2, 6], 1),
        ([3, 3], 1),
    ],
)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_is_take(indices, scatters, axis, rng):
    values = rng.standard_normal((7, 7, 7))
    right = np.take(values, indices, axis)
    cotangent = rng.standard_normal(right.shape)

    @jax.jit
    def run(values, cotangent):
        taken, pullback = jax.vjp(lambda x: take_in_order(x, indices, axis), values)
        return taken, pullback(cotangent)[0]

    taken, gradient = run(values, cotangent)
    np.testing.assert_array_equal(taken, right)
    expected = np.zeros_like(values)
    where = (slice(None),) * axis
    np.add.at(expected, (*where, np.array(indices)), cotangent)
    np.testing.assert_allclose(gradient, expected, atol=1e-15)
    text = run.lower(values, cotangent).as_text()
    assert text.count('"stablehlo.scatter"') == text.count("unique_indices = true") == scatters
