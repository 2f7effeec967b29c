"""Nothing moves between host and device unasked: all functions under a guard, eagerly too."""

import jax
import numpy as np
import pytest

from jaxcnn import functional as F
from jaxcnn.testing import primitives


def on_device(value):
    return jax.device_put(value) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("name", primitives())
def test_nothing_is_moved(name):
    """The first case in float64, its value and its gradients, without and with `jit`."""
    case = next(iter(primitives()[name].cases.values()))
    rng = np.random.default_rng(8)
    arrays = [on_device(draw(rng, np.dtype(np.float64))) for draw in case.draws]
    options = {name: on_device(value) for name, value in case.options.items()}
    places = [i for i, array in enumerate(arrays) if array.dtype.kind == "f"]

    def first(*moved):
        given = arrays.copy()
        for i, value in zip(places, moved, strict=True):
            given[i] = value
        return jax.tree.leaves(case.fn.func(*given, **options))[0]

    def pulled(*moved):
        outputs, pullback = jax.vjp(first, *moved)
        return pullback(outputs)

    moved = [arrays[i] for i in places]
    with jax.transfer_guard("disallow"):
        for call in (first, pulled, jax.jit(pulled)):
            jax.block_until_ready(call(*moved))


def test_draws_move_nothing():
    x, key = jax.device_put(np.ones((2, 6, 5, 3))), jax.random.key(0)
    with jax.transfer_guard("disallow"):
        drawn = F.stochastic_pool(x, (2, 2), key=key)
        spaced = F.fractional_max_pool(x, (2, 2), (4, 3), key=key)
    np.testing.assert_array_equal(drawn, np.ones((2, 5, 4, 3)))
    np.testing.assert_array_equal(spaced, np.ones((2, 4, 3, 3)))


def test_numbers_on_a_device_are_not_looked_at():
    """Those of NumPy are refused; the same on a device are dropped, or count as the nearest."""
    x, indices = np.array([[1.0], [2.0], [3.0]]), np.array([[0], [7], [5]])
    with pytest.raises(ValueError, match="max_unpool: `indices` must lie in 0 to 5"):
        F.max_unpool(x, indices, (2,), 2)
    unpooled = F.max_unpool(x, jax.device_put(indices), (2,), 2)
    np.testing.assert_array_equal(np.ravel(unpooled), [1, 0, 0, 0, 0, 3])
    line, samples = np.array([0.0, 1, 3, 0, 2, 0])[:, None], np.array([[-0.5], [2.0]])
    with pytest.raises(ValueError, match=r"stochastic_pool: `samples` must lie in \[0, 1\)"):
        F.stochastic_pool(line, (3,), 3, samples=samples)
    drawn = F.stochastic_pool(line, (3,), 3, samples=jax.device_put(samples))
    np.testing.assert_array_equal(np.ravel(drawn), [1, 2])
    spaced = F.fractional_max_pool(line, (2,), (3,), samples=jax.device_put(np.array([[9.0]])))
    assert set(np.ravel(spaced).tolist()) <= set(np.ravel(line).tolist())
