"""Blocks are the sums and orders that they say, count what they should, and train."""

import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import functional as F
from jaxcnn import nn
from tests.nn.initializers import drawn

# Flax's batch normalisation mixes its float32 averages with 16-bit floats.
pytestmark = pytest.mark.usefixtures("plain_promotion")


# Flax keeps its running averages in float32 and refuses to mix them with float64.
OPTIONS = dict(kernel_init=drawn)
CLOSE = dict(rtol=2e-4, atol=2e-4)  # float32 sums of tens of products, normalised by their spread


def count(module) -> int:
    """Trainable parameters of a module."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


# One program instead of one for every operation.
run = nnx.jit(lambda module, inputs: module(inputs))


def normalise(x):
    """Batch normalisation of a whole batch, with scale 1 and bias 0."""
    axes = tuple(range(x.ndim - 1))
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)


def relu(x):
    return np.maximum(np.asarray(x), 0)


ORDERS = [
    (dict(), lambda x, conv: relu(normalise(conv(x)))),
    (dict(order=("conv", "activation", "norm")), lambda x, conv: normalise(relu(conv(x)))),
    (dict(order=("norm", "activation", "conv")), lambda x, conv: conv(relu(normalise(x)))),
    (dict(norm=None, activation="silu"), lambda x, conv: np.asarray(nnx.silu(conv(x)))),
    (dict(activation=None), lambda x, conv: normalise(conv(x))),
    (dict(order=("conv",)), lambda x, conv: conv(x)),
]


@pytest.mark.parametrize("options, expected", ORDERS)
def test_conv_block_keeps_its_order(options, expected, rng):
    block = nn.ConvBlock(3, 5, (3, 2), 2, padding=1, rngs=nnx.Rngs(0), **OPTIONS, **options)
    inputs = rng.normal(size=(4, 5, 6, 3)).astype(np.float32)

    def conv(x):
        bias = None if block.conv.bias is None else block.conv.bias[...]
        kernel = block.conv.kernel[...]
        return np.asarray(F.conv(jax.device_put(x), kernel, bias, strides=2, padding=1))

    follows = "norm" in block.order[block.order.index("conv") :]
    assert (block.conv.bias is None) == follows
    np.testing.assert_allclose(run(block, inputs), expected(inputs, conv), **CLOSE)


def test_residual_blocks_add_their_branch(rng):
    inputs = rng.normal(size=(3, 4, 6, 4)).astype(np.float32)
    block = nn.BasicBlock(4, 4, norm=None, rngs=nnx.Rngs(0), **OPTIONS)
    conv1, conv2 = block.branch.conv1.conv, block.branch.conv2.conv
    inner = relu(F.conv(jax.device_put(inputs), conv1.kernel[...], padding=1))
    outer = np.asarray(F.conv(jax.device_put(inner), conv2.kernel[...], padding=1))
    np.testing.assert_allclose(run(block, inputs), relu(outer + inputs), **CLOSE)
    zero = nn.BasicBlock(4, 4, zero_init=True, rngs=nnx.Rngs(0), **OPTIONS)
    np.testing.assert_allclose(run(zero, inputs), relu(inputs), **CLOSE)
    padded = nn.BasicBlock(4, 7, 2, shortcut="pad", zero_init=True, rngs=nnx.Rngs(0), **OPTIONS)
    outputs = np.asarray(run(padded, inputs))
    np.testing.assert_allclose(outputs[..., 1:5], relu(inputs[:, ::2, ::2]), **CLOSE)
    assert not outputs[..., :1].any() and not outputs[..., 5:].any()


BUILD = {
    # parameters: kernels, and two for each channel that is normalised
    "BasicBlock": (functools.partial(nn.BasicBlock, 4, 6, 2), 9 * (24 + 36) + 24 + 2 * 18),
    "BottleneckBlock": (
        functools.partial(nn.BottleneckBlock, 4, 6, 2, feature_group_count=2),
        24 + 9 * 18 + 6 * 24 + 4 * 24 + 2 * (6 + 6 + 24 + 24),
    ),
    "PreActivationBlock": (
        functools.partial(nn.PreActivationBlock, 4, 6, 2),
        9 * (24 + 36) + 24 + 2 * (4 + 6),
    ),
    "InvertedResidual": (
        functools.partial(nn.InvertedResidual, 4, 6, 2, expansion=3),
        48 + 9 * 12 + 72 + 2 * (12 + 12 + 6),
    ),
}


@pytest.mark.parametrize("name", BUILD)
def test_blocks_count_their_parameters_and_train(name, rng):
    build, expected = BUILD[name]
    block = build(rngs=nnx.Rngs(0), **OPTIONS)
    assert count(block) == expected
    inputs = rng.normal(size=(3, 6, 8, 4)).astype(np.float32)

    @nnx.jit
    def step(block, inputs):
        outputs, gradient = nnx.value_and_grad(lambda m: jnp.sum(m(inputs) ** 2))(block)
        return outputs, gradient

    before = [np.array(leaf) for leaf in jax.tree.leaves(nnx.state(block, nnx.BatchStat))]
    value, gradient = step(block, inputs)
    assert np.isfinite(value)
    assert all(np.asarray(leaf).any() for leaf in jax.tree.leaves(gradient))
    after = jax.tree.leaves(nnx.state(block, nnx.BatchStat))
    assert any(np.any(a != np.asarray(b)) for a, b in zip(before, after, strict=True))
    block.eval()
    outputs = np.asarray(run(block, inputs))
    assert outputs.shape == (3, 3, 4, block.out_features)
    among_others = np.concatenate([inputs[:1], 3 * inputs[1:]])
    np.testing.assert_allclose(run(block, among_others)[:1], outputs[:1], **CLOSE)
    assert pickle.loads(pickle.dumps(block)).strides == 2


@pytest.mark.parametrize("name", BUILD)
def test_blocks_of_one_axis_and_of_16_bits(name):
    build, _ = BUILD[name]
    block = nnx.eval_shape(lambda: build(rank=1, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)))
    outputs = nnx.eval_shape(lambda m: m(jnp.zeros((3, 8, 4), jnp.bfloat16)), block)
    assert outputs.shape == (3, 4, block.out_features) and outputs.dtype == jnp.bfloat16


def test_inverted_residual_adds_its_inputs_where_it_can(rng):
    inputs = rng.normal(size=(2, 4, 5, 3)).astype(np.float32)
    block = nn.InvertedResidual(3, 3, expansion=1, norm=None, rngs=nnx.Rngs(0), **OPTIONS)
    assert block.branch.names == ("depthwise", "project")
    branch = np.asarray(run(block.branch, inputs))
    np.testing.assert_allclose(run(block, inputs), branch + inputs, **CLOSE)


def test_context_block_starts_as_the_identity_and_sees_67_pixels(rng):
    inputs = rng.random(size=(1, 70, 3)).astype(np.float32)

    def build(**options):
        return nn.ContextBlock(3, rank=1, rngs=nnx.Rngs(0), **options)

    for widths in (None, (2, 2, 4, 8, 8, 8, 8)):
        outputs = nnx.jit(lambda x, widths=widths: build(widths=widths)(x))(inputs)
        np.testing.assert_allclose(outputs, inputs, **CLOSE)
    weights = nnx.eval_shape(lambda: nn.ContextBlock(3, rngs=nnx.Rngs(0)))
    assert count(weights) == 64 * 3**2 + 8 * 3
    graph, state = nnx.split(nnx.eval_shape(build))
    ones = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), state)
    unit = jax.jit(jax.grad(lambda x: nnx.merge(graph, ones)(x)[0, 35].sum()))
    seen = np.asarray(unit(np.ones((1, 70, 3), np.float32)))
    assert int((seen[0, :, 0] != 0).sum()) == 67
    noisy = nn.ContextBlock(2, dilations=(1,), rank=1, noise=0.1, rngs=nnx.Rngs(0))
    assert np.asarray(noisy.branch.conv1.kernel[...]).all()


def test_standardised_kernels(rng):
    layer = nn.StandardizedConv(3, 5, (3, 2), rngs=nnx.Rngs(0), **OPTIONS)
    layer.kernel[...] = jax.device_put(rng.normal(3, 2, size=(3, 2, 3, 5)).astype(np.float32))
    kernel = np.asarray(nnx.jit(lambda m: m.effective_kernel())(layer))
    np.testing.assert_allclose(kernel.mean((0, 1, 2)), np.zeros(5), atol=1e-5)
    np.testing.assert_allclose(kernel.std((0, 1, 2)), np.ones(5), rtol=1e-4)
    inputs = jax.device_put(rng.normal(size=(2, 4, 5, 3)).astype(np.float32))
    expected = F.conv(inputs, jax.device_put(kernel))
    np.testing.assert_allclose(run(layer, inputs), expected, **CLOSE)
    block = nn.ConvBlock(3, 4, (3, 3), conv=nn.StandardizedConv, rngs=nnx.Rngs(0), **OPTIONS)
    assert isinstance(block.conv, nn.StandardizedConv)


def test_remat_changes_nothing_but_what_is_kept(rng):
    inputs = rng.normal(size=(2, 6, 4)).astype(np.float32)
    layers = {name: nn.ConvBlock(4, 4, (3,), rngs=nnx.Rngs(0), **OPTIONS) for name in "ab"}
    chain = nn.Chain(**layers)
    loss = nnx.jit(nnx.value_and_grad(lambda m, x: jnp.sum(m(x) ** 2)))
    plain = loss(nnx.clone(chain), inputs)
    chain.remat = True
    graph, state = nnx.split(chain)
    text = str(jax.make_jaxpr(lambda state, x: nnx.merge(graph, state)(x))(state, inputs))
    assert "remat" in text or "checkpoint" in text
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **CLOSE),
        plain,
        loss(chain, inputs),
    )


RNGS = dict(rngs=nnx.Rngs(0))
BAD = [
    (nn.ConvBlock, (3, 4, (3,)), dict(order=("norm",)), ValueError, "`order`.*must hold 'conv'"),
    (nn.ConvBlock, (3, 4, (3,)), dict(order="conv"), TypeError, "`order` .='conv'. must be a tu"),
    (nn.ConvBlock, (3, 4, (3,)), dict(norm="batch"), TypeError, "`norm`.*must be a function"),
    (nn.ConvBlock, (3, 4, (3,)), dict(dtype=int), ValueError, "`dtype`.*must be a floating"),
    (nn.BasicBlock, (3, 4), dict(strides=0), ValueError, "`strides` .=0. must be at least 1"),
    (nn.BasicBlock, (3, 4), dict(shortcut="skip"), ValueError, "`shortcut` .='skip'. must be one"),
    (nn.BasicBlock, (3, 3), dict(norm=None, zero_init=True), ValueError, "`zero_init` needs a"),
    (nn.BottleneckBlock, (4, 6), dict(feature_group_count=4), ValueError, "must divide `features`"),
    (nn.PreActivationBlock, (4, 6.5), dict(), ValueError, "`features` .=6.5. must be a whole"),
    (nn.InvertedResidual, (4, 6), dict(kernel_size=4), ValueError, "`kernel_size` .=4. must be od"),
    (nn.InvertedResidual, (4, 6), dict(expansion=0), ValueError, "`expansion` .=0. must be at"),
    (nn.ContextBlock, (4,), dict(widths=(1,)), ValueError, "`widths`.*one entry for each of the 7"),
    (nn.ContextBlock, (4,), dict(noise=-1), ValueError, "`noise` .=-1. must be 0 or more"),
    (nn.ContextBlock, (4,), dict(dilations=2), TypeError, "`dilations` .=2. must be a tuple"),
    (nn.StandardizedConv, (3, 4, (3,)), dict(epsilon=0), ValueError, "`epsilon` .=0. must be abov"),
    (nn.StandardizedConv, (3, 4, (3,)), dict(mask=1), ValueError, "`mask` is not supported"),
]


@pytest.mark.parametrize("module, args, options, error, message", BAD)
def test_bad_options_are_refused_by_the_constructor(module, args, options, error, message):
    with pytest.raises(error, match=f"{module.__name__}: .*{message}"):
        module(*args, **options, **RNGS)


def test_padded_shortcut_refuses_fewer_channels():
    with pytest.raises(ValueError, match="PaddedShortcut: `out_features` .=3. must be at least"):
        nn.PaddedShortcut(4, 3, 1)
    block = nn.BasicBlock(3, 3, norm=None, rngs=nnx.Rngs(0), **OPTIONS)
    with pytest.raises(ValueError, match="BasicBlock: `inputs` must be .* in_features = 3"):
        block(np.ones((2, 5, 5, 4)))
