"""Every pool in one table: nothing scattered in any derivative, and what JAX may wrap it in."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from jaxcnn import functional as F

RNG = np.random.default_rng(0)
WINDOW = dict(window_shape=(3, 2), strides=(2, 1), padding=((2, 1), (0, 1)), window_dilation=(1, 2))
LONG = dict(window_shape=(18, 2), strides=2, padding=((9, 8), (1, 0)))
U = RNG.random((4, 8, 10, 3))
PLACES = RNG.integers(0, 4, (1, 8, 10, 3))  # many of them equal

POOLS = {
    **{
        f"{name} {algorithm}": functools.partial(getattr(F, name), algorithm=algorithm, **WINDOW)
        for name, algorithms in (
            ("max_pool", ("shift", "tree", "window", "at_once")),
            ("min_pool", ("shift", "tree", "window", "at_once")),
            ("avg_pool", ("shift", "window", "stages")),
            ("sum_pool", ("shift", "window", "stages")),
            ("logsumexp_pool", ("shift", "at_once")),
        )
        for algorithm in algorithms
    },
    "max_pool tiles": lambda x: F.max_pool(x, (2, 2), 2),
    "max_pool long": lambda x: F.max_pool(x, **LONG),
    "max_pool circular": lambda x: F.max_pool(x, (2, 2), 1, 3, padding_mode="circular"),
    "avg_pool reflect": lambda x: F.avg_pool(x, (2, 2), 1, 3, padding_mode="reflect"),
    "avg_pool long": lambda x: F.avg_pool(x, **LONG),
    "logsumexp_pool long": lambda x: F.logsumexp_pool(x, **LONG),
    **{
        f"lp_pool {p}": functools.partial(F.lp_pool, norm_order=p, **WINDOW)
        for p in (1, 2, 2.5, np.inf)
    },
    "pool product": lambda x: F.pool(x, 1.0, jnp.multiply, **WINDOW),
    "pool logaddexp": lambda x: F.pool(x, -np.inf, jnp.logaddexp, (2, 3)),
    "pool of a user": lambda x: F.pool(x, 0.0, lambda a, b: (a + b) / (1 + a * b), **WINDOW),
    "max_pool_with_indices": lambda x: F.max_pool_with_indices(x, **WINDOW)[0],
    "max_pool_with_indices long": lambda x: F.max_pool_with_indices(x, **LONG)[0],
    "max_unpool": lambda x: F.max_unpool(x, jnp.tile(PLACES, (x.shape[0], 1, 1, 1)), (2, 2)),
    **{
        f"{name} {shape}": functools.partial(getattr(F, name), output_shape=shape)
        for name in ("adaptive_avg_pool", "adaptive_max_pool")
        for shape in ((3, 4), (11, 5), (33, 35))
    },
    "adaptive_max_pool_with_indices": lambda x: F.adaptive_max_pool_with_indices(x, (35, 4))[0],
    "global_avg_pool": F.global_avg_pool,
    "global_max_pool": F.global_max_pool,
    "spatial_pyramid_pool": lambda x: F.spatial_pyramid_pool(x, ((1, 1), (3, 4), (33, 2))),
    "fractional_max_pool": lambda x: F.fractional_max_pool(
        x, (2, 3), (5, 7), samples=jnp.asarray(U[: x.shape[0], 0, :3, :2])
    ),
    "stochastic_pool": lambda x: F.stochastic_pool(
        x, (2, 3), samples=jnp.asarray(U[: x.shape[0], :7, :8])
    ),
    "stochastic_pool expected": lambda x: F.stochastic_pool(x, (2, 3), deterministic=True),
    "blur_pool": lambda x: F.blur_pool(x, (3, 4), 2),
}

INPUTS = jax.ShapeDtypeStruct((4, 8, 10, 3), jnp.float64)
BATCHES = jax.ShapeDtypeStruct((2, *INPUTS.shape), jnp.float64)


def derivatives(pool):
    """Reverse mode, and forward mode of it; traced once for all that wraps them."""

    def gradient(x):
        return jax.grad(lambda x: (pool(x) ** 2).sum())(x)

    def second(x):
        return jax.jvp(gradient, (x,), (jnp.cos(x),))

    return jax.jit(second)


DERIVATIVES = {name: derivatives(pool) for name, pool in POOLS.items()}


def test_the_table_holds_every_pool():
    tested = {name.split()[0] for name in POOLS}
    assert {name for name in F.__all__ if "pool" in name} - tested == {
        "fractional_max_pool_with_indices"  # whose values those of fractional_max_pool are
    }


@pytest.mark.parametrize("name", POOLS)
def test_no_derivative_adds_where_places_may_collide(name):
    run = DERIVATIVES[name]
    traced = jax.jit(lambda x, many: (run(x), jax.vmap(run)(many))).trace(INPUTS, BATCHES)
    text = traced.lower(lowering_platforms=("cpu", "cuda", "rocm")).as_text()
    assert "select_and_scatter" not in text  # a TPU's adds in a fixed order
    text += traced.lower(lowering_platforms=("tpu",)).as_text()
    for scatter in text.split('"stablehlo.scatter"')[1:]:
        scatter = scatter[: scatter.index("stablehlo.return")]
        # The largest of integers does not depend on the order.
        of_integers = re.search(r"stablehlo.maximum .*: tensor<i32>", scatter)
        assert "unique_indices = true" in scatter or of_integers


@pytest.mark.parametrize("name", POOLS)
def test_derivatives_are_traced_on_many_devices_in_a_loop_and_recomputed(name):
    run = DERIVATIVES[name]
    mesh, batch = Mesh(jax.devices()[:1], ("devices",)), PartitionSpec("devices")
    for wrapped, inputs in (
        (jax.shard_map(run, mesh=mesh, in_specs=batch, out_specs=batch), INPUTS),
        (lambda x: jax.lax.scan(lambda carry, x: (carry, run(x)), 0, x)[1], BATCHES),
        (derivatives(jax.checkpoint(POOLS[name])), INPUTS),
    ):
        assert [a.shape for a in jax.eval_shape(wrapped, inputs)] == [inputs.shape] * 2
