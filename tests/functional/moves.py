"""What holds under every transformation of a function that only moves pixels."""

import jax
import numpy as np


def check_transformations(function, inputs, tangent):
    """`function` has one batch axis, and keeps each pixel at one place."""

    @jax.jit
    def run(inputs, tangent):
        energy = jax.checkpoint(lambda x: (function(x) ** 3).sum() / 6)
        _, moved = jax.jvp(function, (inputs,), (tangent,))
        _, hessian_times = jax.jvp(jax.grad(energy), (inputs,), (tangent,))
        return jax.vmap(function)(inputs), jax.lax.map(function, inputs), moved, hessian_times

    by_vmap, by_map, moved, hessian_times = run(inputs, tangent)
    outputs = function(inputs)
    np.testing.assert_array_equal(by_vmap, outputs)
    np.testing.assert_array_equal(by_map, outputs)
    np.testing.assert_array_equal(moved, function(tangent))
    np.testing.assert_allclose(hessian_times, inputs * tangent, atol=1e-14)
