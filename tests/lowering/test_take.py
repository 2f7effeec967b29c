"""take_in_order: what `np.take` gives, with a gradient whose places never collide."""

import jax
import jax.numpy as jnp
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
    taken, pullback = jax.vjp(lambda x: take_in_order(x, indices, axis), jnp.asarray(values))
    np.testing.assert_array_equal(taken, np.take(values, indices, axis))
    cotangent = rng.standard_normal(taken.shape)
    expected = np.zeros_like(values)
    where = (slice(None),) * axis
    np.add.at(expected, (*where, np.array(indices)), cotangent)
    np.testing.assert_allclose(pullback(jnp.asarray(cotangent))[0], expected, atol=1e-15)
    text = jax.jit(lambda c: pullback(c)).lower(cotangent).as_text()
    assert text.count('"stablehlo.scatter"') == text.count("unique_indices = true") == scatters
