"""take_in_order: what `np.take` gives, with a gradient whose places never collide."""

import functools

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
def test_is_take(indices, scatters, rng):
    values = rng.standard_normal((7, 7, 7))
    cotangents = [rng.standard_normal(np.take(values, indices, axis).shape) for axis in range(3)]

    @jax.jit
    def run(values, cotangents):
        results = []
        for axis, cotangent in enumerate(cotangents):
            take = functools.partial(take_in_order, indices=indices, axis=axis)
            taken, pullback = jax.vjp(take, values)
            results.append((taken, pullback(cotangent)[0]))
        return results

    results = run(values, cotangents)
    for axis, ((taken, gradient), cotangent) in enumerate(zip(results, cotangents, strict=True)):
        np.testing.assert_array_equal(taken, np.take(values, indices, axis))
        expected = np.zeros_like(values)
        where = (slice(None),) * axis
        np.add.at(expected, (*where, np.array(indices)), cotangent)
        np.testing.assert_allclose(gradient, expected, atol=1e-15)
    text = run.lower(values, cotangents).as_text()
    assert text.count('"stablehlo.scatter"') == text.count("unique_indices = true") == 3 * scatters
