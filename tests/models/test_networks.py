"""The larger networks: published parameter counts, shapes, one small step each, bad options."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn.models import (
    VGG,
    AlexNet,
    CifarResNet,
    CifarSpeedNet,
    ConvNeXtTiny,
    DilatedContext,
    MobileNetV2,
    PatternCNN,
    ResNet,
    SimpleCNN,
    UNet,
)


def count(module) -> int:
    """Trainable parameters of a module."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


COUNTS = [
    # As torchvision prints them, and for CIFAR as the paper rounds them. Those of AlexNet, VGG-16,
    # ResNet-18 and -50, MobileNetV2 and ConvNeXt-T stand in tests/analysis/test_summary.py, with
    # what these cost.
    (VGG, dict(depth=11), 132_863_336),
    (VGG, dict(depth=13), 133_047_848),
    (VGG, dict(depth=19), 143_667_240),
    (VGG, dict(depth=16, batch_normalized=True), 138_365_992),
    (VGG, dict(depth=19, batch_normalized=True), 143_678_248),
    (ResNet, dict(depth=34), 21_797_672),
    (ResNet, dict(depth=101), 44_549_160),
    (CifarResNet, dict(depth=20), 269_722),
    (CifarResNet, dict(depth=56), 853_018),
    (MobileNetV2, dict(width_multiplier=0.5), 1_968_680),
    (ConvNeXtTiny, dict(depths=(3, 3, 27, 3)), 50_223_688),
    # the paper's: one channel, two classes
    (UNet, dict(in_features=1), 31_030_658),
    # VGG-16 as convolutions with 21 classes, and the context's 64 C^2 + 8 C
    (DilatedContext, dict(context=None), 134_346_581),
    (DilatedContext, dict(context="basic"), 134_346_581 + 64 * 21**2 + 8 * 21),
    (DilatedContext, dict(context="large"), 141_149_720),
    # the book's two, the second with and without batch normalisation
    (
        SimpleCNN,
        dict(num_classes=2, widths=(4, 8, 16, 32), first_kernel_size=3, batch_normalized=False),
        6_722,
    ),
    (SimpleCNN, dict(batch_normalized=False), 30_282),
    (SimpleCNN, dict(), 30_282 + 2 * (8 + 16 + 32 + 64 + 10)),
    (CifarSpeedNet, dict(), 1_971_640 - 288),
]


@pytest.mark.parametrize("network, options, expected", COUNTS)
def test_parameters_are_the_published_ones(network, options, expected):
    model = nnx.eval_shape(lambda: network(**options, rngs=nnx.Rngs(0)))
    assert count(model) == expected


SHAPES = [
    (AlexNet, dict(), 224, [55, 27, 27, 13, 13, 13, 13, 6]),
    (VGG, dict(depth=11), 224, [112, 56, 28, 14, 7]),
    (ResNet, dict(depth=18), 224, [112, 56, 56, 28, 14, 7]),
    (ResNet, dict(depth=50), 97, [49, 25, 25, 13, 7, 4]),
    (CifarResNet, dict(depth=8), 32, [32, 32, 16, 8]),
]


@pytest.mark.parametrize("network, options, size, expected", SHAPES)
def test_sizes_of_the_feature_maps(network, options, size, expected):
    model = nnx.eval_shape(
        lambda: network(num_classes=7, dtype=jnp.bfloat16, rngs=nnx.Rngs(0), **options)
    )
    images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    maps = nnx.eval_shape(lambda m, x: list(m.feature_maps(x).values()), model, images)
    assert [value.shape[1] for value in maps] == expected
    assert {value.dtype for value in maps} == {jnp.dtype(jnp.bfloat16)}
    logits = nnx.eval_shape(lambda m, x: m(x), model, images)
    assert logits.shape == (2, 7) and logits.dtype == jnp.bfloat16


STEPS = [
    (functools.partial(AlexNet, hidden_features=8), 63),
    (functools.partial(VGG, 11, hidden_features=8, batch_normalized=True), 32),
    (functools.partial(CifarResNet, 8, widths=(4, 8, 8), remat=True), 8),
    (functools.partial(PatternCNN, (8, 8, 3), convs=1, features=4, hidden_features=8), 8),
]


@pytest.mark.parametrize("build, size", STEPS, ids=lambda value: str(getattr(value, "func", value)))
def test_one_step_of_training_and_evaluation(build, size, trained):
    images = np.random.default_rng(0).normal(size=(2, size, size, 3))
    logits = trained(
        functools.partial(build, num_classes=3), images, vmapped=build.func is PatternCNN
    )[1]
    assert logits.shape == (2, 3)


def test_the_pattern_is_the_pattern():
    options = dict(convs=2, stages=3, hidden=2, features=4, hidden_features=6)
    model = nnx.eval_shape(
        lambda: PatternCNN((12, 20, 2), 5, pool=(True, False, True), rngs=nnx.Rngs(0), **options)
    )
    assert model.features.names == ("stage1", "stage2", "stage3")
    assert model.features.stage1.names == ("conv1", "relu1", "conv2", "relu2", "pool")
    assert model.features.stage2.names == ("conv1", "relu1", "conv2", "relu2")
    assert model.classifier.names == ("flatten", "fc1", "relu1", "fc2", "relu2", "fc3")
    assert [s.conv2.out_features for s in model.features.layers] == [4, 8, 16]
    assert model.classifier.fc1.in_features == 3 * 5 * 16
    signal = nnx.eval_shape(
        lambda: PatternCNN((16, 2), hidden=0, features=(3, 4), kernel_size=5, rngs=nnx.Rngs(0))
    )
    assert signal.classifier.names == ("flatten", "fc1")
    outputs = nnx.eval_shape(lambda m: m(jnp.ones((4, 2, 16, 2), jnp.float32)), signal)
    assert outputs.shape == (4, 2, 10)


BAD = [
    (VGG, dict(depth=12), ValueError, "`depth` .=12. must be one of 11, 13, 16, 19"),
    (VGG, dict(dropout=2), ValueError, "`dropout` .=2. must be between 0 and 1"),
    (VGG, dict(dropout="x"), TypeError, "`dropout` .='x'. must be a number"),
    (VGG, dict(batch_normalized=1), TypeError, "`batch_normalized` .=1. must be True or False"),
    (VGG, dict(rngs=dict(params=0)), ValueError, "`rngs` must have a stream 'dropout'"),
    (AlexNet, dict(num_classes=0), ValueError, "`num_classes` .=0. must be at least 1"),
    (AlexNet, dict(hidden_features=1.5), ValueError, "`hidden_features` .=1.5. must be a whole"),
    (ResNet, dict(depth="50"), TypeError, "`depth` .='50'. must be an int"),
    (ResNet, dict(remat=None), TypeError, "`remat` .=None. must be True or False"),
    (ResNet, dict(rngs=None), TypeError, "`rngs` must be flax.nnx.Rngs"),
    (CifarResNet, dict(depth=21), ValueError, "`depth` .=21. must be 6n . 2"),
    (CifarResNet, dict(widths=(8, 8)), ValueError, "`widths`.*three entries"),
    (PatternCNN, dict(input_shape=(8,)), ValueError, "`input_shape`.*spatial, channels"),
    (PatternCNN, dict(input_shape=(8, 8, 1), stages=4), ValueError, "`pool`.*leaves nothing"),
    (PatternCNN, dict(input_shape=(8, 8, 1), pool=(True,)), ValueError, "`pool`.*2 stages"),
    (PatternCNN, dict(input_shape=(8, 8, 1), convs=0), ValueError, "`convs` .=0. must be"),
    (PatternCNN, dict(input_shape=(8, 8, 1), features=(4, 0)), ValueError, "`features` .=0."),
]


@pytest.mark.parametrize("network, options, error, message", BAD)
def test_bad_options_are_refused(network, options, error, message):
    options = dict(options)
    streams = options.pop("rngs", {"default": 0})

    def build():
        return network(rngs=streams and nnx.Rngs(**streams), **options)

    with pytest.raises(error, match=f"{network.__name__}: {message}"):
        nnx.eval_shape(build)


def test_wrong_images_are_refused():
    model = nnx.eval_shape(lambda: CifarResNet(8, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"CifarResNet: `inputs` must be \(\*batch, any, any, 3\)"):
        model(jnp.ones((2, 32, 32, 1)))
