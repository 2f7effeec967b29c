"""Programs that are the same once their calls are written out, and programs that are not."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from experiments.compiled_for import inlined

ARRAY = jax.ShapeDtypeStruct((3, 4), jnp.float32)


def text(function, *given):
    return inlined.text(jax.jit(function).lower(*(given or (ARRAY, ARRAY))))


@jax.jit
def root(x):
    return jnp.sqrt(x * 3)


@jax.jit
def nested(x, y):
    return root(y) - root(x), x


def plain(x, y):
    return jnp.sqrt(y * 3) - jnp.sqrt(x * 3), x


def test_calls_and_their_names_are_nobody_s_business():
    assert "call" in jax.jit(nested).lower(ARRAY, ARRAY).as_text()
    assert text(nested) == text(plain)


@pytest.mark.parametrize(
    "other",
    [
        lambda x, y: (jnp.sqrt(y * 3) - jnp.sqrt(x * 2), x),  # another number
        lambda x, y: (jnp.sqrt(x * 3) - jnp.sqrt(y * 3), x),  # another order
        lambda x, y: (jnp.sqrt(y * 3) - jnp.sqrt(x * 3), y),  # another result
        lambda x, y: (jnp.sqrt(y * 3) + jnp.sqrt(x * 3), x),  # another operation
        lambda x, y: (jnp.sqrt(y * 3) - jnp.cbrt(x * 3), x),
    ],
)
def test_what_differs_shows(other):
    assert text(other) != text(plain)


def test_other_shapes_dtypes_and_options_show():
    narrow = jax.ShapeDtypeStruct((3, 4), jnp.bfloat16)
    small = jax.ShapeDtypeStruct((3, 3), jnp.float32)
    texts = {text(plain, given, given) for given in (ARRAY, narrow, small)}
    assert len(texts) == 3
    sums = {text(lambda x, axis=axis: x.sum(axis), small) for axis in (0, 1)}
    assert len(sums) == 2


def test_loops_are_looked_into():
    def loop(step, rounds=5):
        return lambda x, y: lax.fori_loop(0, rounds, lambda i, carry: step(carry, y), x)

    def step(x, y):
        return x * y + 1

    same = text(loop(step))
    assert text(loop(jax.jit(step))) == same
    assert text(loop(lambda x, y: x * y + 2)) != same
    assert text(loop(lambda x, y: x * x + 1)) != same
    assert text(loop(step, 6)) != same
    window = (2, 2), (1, 1), "VALID"
    first = ARRAY, jax.ShapeDtypeStruct((), jnp.float32)
    pools = {
        text(lambda x, y, take=take: lax.reduce_window(x, y, take, *window), *first)
        for take in (lax.max, lax.min)
    }
    assert len(pools) == 2
