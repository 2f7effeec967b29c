"""Multiply-adds and parameters of what really runs, each worked out by hand."""

import functools

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax import lax

from jaxcnn import functional as F
from jaxcnn import nn
from tests.analysis.networks import Beside, Scanned, built, computes, conv, shape, summary


def looped(x, w):
    return lax.fori_loop(0, 6, lambda i, x: x @ w, x)


def branched(x, w):
    return lax.cond(x.sum() > 0, lambda x: x @ w, lambda x: x @ w @ w, x)


def scanned(x, w):
    return lax.scan(lambda x, _: (lax.scan(lambda x, _: (x @ w, None), x, None, 2)[0], None), x,
                    None, 3)[0]  # fmt: skip


def transposed(x, w):
    return lax.conv_transpose(x, w, (2, 2), "SAME")


def gradient(x, w):
    return jax.grad(lambda x: jnp.square(x @ w).sum())(x)


def spread(x, w):
    mesh = jax.make_mesh((1,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    split, whole = jax.sharding.PartitionSpec("d"), jax.sharding.PartitionSpec()
    return jax.shard_map(jnp.matmul, mesh=mesh, in_specs=(split, whole), out_specs=split)(x, w)


@jax.custom_vjp
def ruled(x, w):
    return x @ w


ruled.defvjp(lambda x, w: (x @ w, (x, w)), lambda kept, g: (g @ kept[1].T, kept[0].T @ g))


class Wrapped(nnx.Module):
    """Holds a layer, and parameters in a dictionary."""

    def __init__(self, *, rngs):
        self.layer = nnx.Linear(3, 4, rngs=rngs)
        self.more = nnx.Dict(scale=nnx.Param(jnp.ones(4, jnp.float32)))

    def __call__(self, inputs):
        return self.layer(inputs) * self.more["scale"][...].reshape(1, 4)


CASES = {
    # rows * features in * features out
    "LinearGeneral": (functools.partial(nnx.LinearGeneral, 4, (2, 3)), (5, 4), 5 * 4 * 6, 30),
    "two axes": (
        functools.partial(nnx.LinearGeneral, (4, 2), 3, axis=(1, 2)), (5, 4, 2), 5 * 8 * 3, 27,
    ),
    "Einsum": (
        functools.partial(nnx.Einsum, "nta,hab->nthb", (8, 2, 4), (8, 4)), (2, 3, 2),
        2 * 3 * 8 * 4 * 2, 64 + 32,
    ),
    # three projections in and one out, then 2 images * 2 heads * 5 places * 5 places * 4, twice
    "attention": (
        functools.partial(nnx.MultiHeadAttention, 2, 6, 8, decode=False), (2, 5, 6),
        4 * 10 * 6 * 8 + 2 * 400, 3 * 56 + 54,
    ),
    # 7 steps of 2 sequences
    "GRU": (lambda rngs: nnx.RNN(nnx.GRUCell(3, 4, rngs=rngs)), (2, 7, 3), 14 * 7 * 12, 96),
    "LSTM": (lambda rngs: nnx.RNN(nnx.LSTMCell(3, 4, rngs=rngs)), (2, 7, 3), 14 * 7 * 16, 128),
    "scan": (functools.partial(Scanned, conv(), 5), (1, 8, 8, 3), 5 * 64 * 81, 5 * 84),
    "scan of Flax": (functools.partial(Scanned, conv(nnx.Conv), 5), (1, 8, 8, 3), 25_920, 420),
    "scan of blocks": (
        functools.partial(Scanned, functools.partial(nn.BasicBlock, 3, 3), 4), (1, 8, 8, 3),
        4 * 2 * 64 * 81, 4 * (162 + 12),
    ),
    "vmap": (functools.partial(Beside, conv(), 5), (2, 8, 8, 3), 5 * 128 * 81, 420),
    "vmap of Flax": (functools.partial(Beside, conv(nnx.Conv), 5), (2, 8, 8, 3), 51_840, 420),
    "vmap of scan": (
        functools.partial(Beside, functools.partial(Scanned, conv(), 2), 3), (1, 8, 8, 3),
        6 * 64 * 81, 6 * 84,
    ),
    "vmap of transposed": (
        functools.partial(Beside, conv(nn.ConvTranspose, strides=2), 3), (1, 4, 5, 3),
        3 * 20 * 81, 3 * 84,
    ),
    "vmap of Flax's transposed": (
        functools.partial(Beside, conv(nnx.ConvTranspose, strides=2), 3), (1, 4, 5, 3), 4_860, 252,
    ),
    "product of matrices": (computes(lambda x, w: x @ w, (4, 6)), (2, 5, 4), 10 * 24, 24),
    "einsum": (
        computes(lambda x, w: jnp.einsum("nac,cbd->nabd", x, w), (4, 3, 2)), (2, 5, 4), 240, 24,
    ),
    "nested loops": (computes(scanned, (4, 4)), (5, 4), 6 * 80, 16),
    "loop of known length": (computes(looped, (4, 4)), (5, 4), 6 * 80, 16),
    "largest branch": (computes(branched, (4, 4)), (5, 4), 2 * 80, 16),
    "gradient inside": (computes(gradient, (4, 6)), (5, 4), 2 * 5 * 24, 24),
    "lax's transposed": (computes(transposed, (3, 3, 2, 4)), (1, 5, 6, 2), 30 * 72, 72),
    "our functions": (
        computes(lambda x, w: F.avg_pool(F.depthwise_conv(x, w), (2, 2)), (3, 3, 2, 4)),
        (1, 5, 6, 2), 30 * 72, 72,
    ),
    "shard_map": (computes(spread, (4, 6)), (5, 4), 5 * 24, 24),
    "custom_vjp": (computes(ruled, (4, 6)), (5, 4), 5 * 24, 24),
    "dot_product_attention": (
        computes(lambda x: jax.nn.dot_product_attention(x, x, x)), (2, 5, 2, 4), 2 * 400, 0,
    ),
    "LoRA": (functools.partial(nnx.LoRALinear, 3, 4, lora_rank=2), (5, 3), 5 * (12 + 6 + 8), 30),
    # the last of the 16 + 4 has a place in a dictionary
    "a wrapper": (
        lambda rngs: Wrapped(rngs=rngs), (5, 3), 5 * 12, 12 + 4 + 4,
    ),
    "remat": (computes(lambda x, w: jax.checkpoint(jnp.matmul)(x, w), (4, 6)), (5, 4), 120, 24),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_runs_is_counted(name):
    build, sizes, products, parameters = CASES[name]
    table = summary(built(build), shape(*sizes))
    assert (table.multiply_adds, table.parameters) == (products, parameters)
    assert sum(row.multiply_adds for row in table.rows) == products
    assert sum(row.parameters for row in table.rows) == parameters


KERNEL = (3, 2, 4, 6)
FUNCTIONS = {
    "conv": (F.conv, KERNEL, 42 * 144, ("direct", "canonical")),
    "strides": (functools.partial(F.conv, strides=2), KERNEL, 12 * 144, ("direct", "canonical")),
    # 13 rows of 7 and 11 columns of 6: three taps meet 6, 5 and 6 of the rows, two meet 5 columns
    "input dilation": (
        functools.partial(F.conv, input_dilation=2, padding="VALID"), KERNEL,
        (6 + 5 + 6) * (5 + 5) * 24, ("direct", "phases"),
    ),
    "general": (
        functools.partial(
            F.conv_general_dilated, window_strides=(1, 2), padding="SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        ), KERNEL, 21 * 144, (),
    ),
    "transposed": (
        functools.partial(F.conv_transpose, strides=2, padding="VALID"), KERNEL, 42 * 144,
        ("direct", "phases"),
    ),
    "depthwise": (F.depthwise_conv, KERNEL, 42 * 144, ("direct", "shift", "fft")),
    "unshared": (functools.partial(F.conv_local, padding="VALID"), (5, 5, *KERNEL), 25 * 144, ()),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_figures_are_the_same_with_every_algorithm(name):
    function, kernel, expected, algorithms = FUNCTIONS[name]
    jitted = jax.jit(lambda x, w: function(x, w))
    jax.eval_shape(jitted, shape(1, 7, 6, 4), shape(*kernel))  # traced before by somebody else
    named = [functools.partial(function, algorithm=algorithm) for algorithm in algorithms]
    for chosen in (function, jitted, *named):
        table = summary(built(computes(chosen, kernel)), shape(1, 7, 6, 4))
        assert table.multiply_adds == expected
