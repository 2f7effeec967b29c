"""Maps of two operands with stated transposes, under every transformation, by two examples."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.jet import jet

from jaxcnn.lowering.bilinear import Bilinear
from jaxcnn.lowering.by_platform import by_platform
from jaxcnn.testing import check_transforms


@dataclasses.dataclass(frozen=True)
class Product(Bilinear):
    """Rows times a matrix; what it is asked for is noted, under a name of its own."""

    name: str

    def value(self, first, second):
        return first @ second

    def to_first(self, second, cotangent, like):
        ASKED.append((self.name, "first", like.shape))
        return cotangent @ second.T

    def to_second(self, first, cotangent, like):
        ASKED.append((self.name, "second", like.shape))
        return first.T @ cotangent


ASKED = []


def product(name):
    return lambda x, k: by_platform(Product(name), x, k)[0]


@pytest.fixture
def arrays(rng):
    return rng.standard_normal((3, 4)), rng.standard_normal((4, 5))


def test_all_transformations(arrays):
    check_transforms(product("all"), arrays)


def test_the_stated_transposes_are_what_runs(arrays):
    x, k = arrays
    jax.jit(jax.grad(lambda x, k: product("grad")(x, k).sum(), (0, 1)))(x, k)
    assert {("grad", "first", (3, 4)), ("grad", "second", (4, 5))} <= set(ASKED)


@pytest.mark.parametrize("moving", [(0,), (1,), (0, 1)])
def test_series(moving, arrays):
    terms = [[jnp.cos(arrays[i]), jnp.sin(arrays[i]), arrays[i]] for i in moving]

    def found(fn):
        def moved(*given):
            operands = list(arrays)
            for i, value in zip(moving, given, strict=True):
                operands[i] = value
            return fn(*operands)

        return jet(moved, [arrays[i] for i in moving], terms)

    for ours, right in zip(
        jax.tree.leaves(found(product("series"))), jax.tree.leaves(found(jnp.matmul)), strict=True
    ):
        np.testing.assert_allclose(ours, right, rtol=1e-12)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (1, 2)])
def test_gradients_of_a_batch(axes, arrays, rng):
    """An operand that all elements share gets the sum of their gradients."""
    x, k = (
        array if axis is None else jnp.stack([array, 2 * array, -array], axis)
        for array, axis in zip(arrays, axes, strict=True)
    )
    cotangent = rng.standard_normal((3, 3, 5))

    def gradients(fn):
        outputs, pull = jax.vjp(jax.vmap(fn, axes), x, k)
        return outputs, *pull(cotangent)

    name = f"batch {axes}"
    for ours, right in zip(gradients(product(name)), gradients(jnp.matmul), strict=True):
        np.testing.assert_allclose(ours, right, rtol=1e-12)
    asked = {(operand, shape) for own, operand, shape in ASKED if own == name}
    mapped = {("first", (3, 4)): axes[0], ("second", (4, 5)): axes[1]}
    assert asked == {entry for entry, axis in mapped.items() if axis is not None}
