"""SimpleCNN, MobileNetV2, ConvNeXt and the CIFAR speed network."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import nn
from jaxcnn.models import CifarSpeedNet, ConvNeXtTiny, MobileNetV2, SimpleCNN, whitening_kernel
from jaxcnn.models.convnext import ConvNeXtBlock, exact_gelu
from jaxcnn.models.speed_net import dirac_init

STEPS = [
    (functools.partial(SimpleCNN, widths=(4, 6), in_features=3), 9),
    (functools.partial(MobileNetV2, stages=((1, 32, 1, 1), (2, 16, 1, 2)), remat=True), 12),
    (functools.partial(ConvNeXtTiny, depths=(1,), widths=(8,), stochastic_depth=0.3), 9),
    (functools.partial(CifarSpeedNet, widths=(8, 6, 6)), 18),
]


@pytest.mark.parametrize("build, size", STEPS, ids=lambda value: str(getattr(value, "func", value)))
def test_one_step_of_training_and_evaluation(build, size, trained, rng):
    images = rng.normal(size=(4, size, size, 3))
    model, logits, _ = trained(
        functools.partial(build, num_classes=3), images, vmapped=build.func is SimpleCNN
    )
    assert logits.shape == (4, 3)
    assert list(model.features.names)[-1] in ("conv2", "top", "stage1", "block3")


NAMES = [
    (SimpleCNN, 28, {"conv1": 14, "conv2": 7, "conv3": 4, "conv4": 2}),
    (
        MobileNetV2,
        224,
        dict(stem=112, stage1=112, stage2=56, stage3=28, stage4=14, stage5=14, stage6=7, stage7=7)
        | dict(top=7),
    ),
    (ConvNeXtTiny, 224, dict(stem=56, stage1=56, stage2=28, stage3=14, stage4=7)),
    (CifarSpeedNet, 32, dict(whitening=31, block1=15, block2=7, block3=3)),
]


@pytest.mark.parametrize("network, size, expected", NAMES)
def test_names_sizes_and_dtypes_of_the_feature_maps(network, size, expected):
    model = nnx.eval_shape(lambda: network(5, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)))
    images = jax.ShapeDtypeStruct((2, size, size, model.in_features), jnp.float32)
    names = []

    def maps(model, images):
        maps = model.feature_maps(images)
        names.extend(maps)
        return list(maps.values()), model.classifier(list(maps.values())[-1])

    values, logits = nnx.eval_shape(maps, model, images)
    assert dict(zip(names, (value.shape[1] for value in values), strict=True)) == expected
    assert {value.dtype for value in (*values, logits)} == {jnp.dtype(jnp.bfloat16)}
    assert logits.shape == (2, 5)
    assert {p.dtype for p in jax.tree.leaves(nnx.state(model, nnx.Param))} == {jnp.dtype("float32")}


def test_stochastic_depth_drops_whole_branches(filled, rng):
    block = filled(functools.partial(ConvNeXtBlock, 4, drop_rate=0.5))
    block.branch = nn.Activation("tanh")  # which compiles faster
    inputs = rng.normal(size=(12, 3, 5, 4)).astype(np.float32)
    run = nnx.jit(lambda block, x: block(x) - x)
    block.eval()
    branch = np.asarray(run(block, inputs))
    block.train()
    kept = np.asarray(run(block, inputs))
    dropped = np.all(kept == 0, axis=(1, 2, 3))
    assert 0 < dropped.sum() < 12
    np.testing.assert_allclose(kept[~dropped], 2 * branch[~dropped], rtol=1e-4, atol=1e-4)
    rates = nnx.eval_shape(lambda: ConvNeXtTiny(depths=(2, 3), widths=(8, 8), rngs=nnx.Rngs(0)))
    stages = rates.features.stage1, rates.features.stage2
    found = [layer.drop.rate for s in stages for layer in s.layers if hasattr(layer, "drop")]
    np.testing.assert_allclose(found, [0, 0.025, 0.05, 0.075, 0.1])


def test_gelu_is_exact():
    values = np.linspace(-3, 3, 7)
    expected = [x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in values]
    np.testing.assert_allclose(jax.jit(exact_gelu)(values), expected, atol=1e-12)


def test_whitened_patches_are_uncorrelated(rng):
    mixing = rng.normal(size=(3, 3))
    images = rng.normal(2.0, 1.0, size=(20, 9, 8, 3)) @ mixing
    images[:, 1:] += 0.8 * images[:, :-1]  # neighbours resemble each other
    kernel = np.asarray(whitening_kernel(images, (2, 1), epsilon=1e-9))
    assert kernel.shape == (2, 1, 3, 12) and kernel.dtype == np.float64
    np.testing.assert_array_equal(kernel[..., 6:], -kernel[..., :6])
    patches = np.stack([images[:, :-1], images[:, 1:]], axis=3).reshape(-1, 6)
    responses = patches @ kernel[..., :6].reshape(6, 6)
    np.testing.assert_allclose(np.cov(responses.T, bias=True), np.eye(6), atol=1e-6)
    assert np.all(np.diff(np.linalg.norm(kernel[..., :6].reshape(6, 6), axis=0)) >= 0)


def test_the_speed_network_whitens_and_leaves_its_kernel_alone(filled, rng):
    model = filled(functools.partial(CifarSpeedNet, widths=(4, 4, 4)))
    images = rng.normal(size=(6, 10, 10, 3)).astype(np.float32)
    model.whiten(images)
    kernel = model.features.whitening.kernel
    np.testing.assert_allclose(kernel[...], whitening_kernel(images), atol=1e-6)
    assert not isinstance(kernel, nnx.Param)
    assert float(abs(model.features.whitening(images).mean((0, 1, 2))).max()) < 1e-5
    drawn = np.asarray(dirac_init(jax.random.key(0), (3, 3, 2, 5), jnp.float32))
    same = np.zeros((3, 3, 2, 2))
    same[1, 1] = np.eye(2)
    np.testing.assert_array_equal(drawn[..., :2], same)
    assert np.all(drawn[..., 2:] != 0) and np.abs(drawn).max() <= 1


def test_gradients_of_the_speed_network_are_moderate_on_noise_of_bytes(rng):
    """Off the origin a channel lay where its GELU is constant, and gradients grew to 1e27."""
    images = rng.uniform(size=(8, 16, 16, 3)).astype(np.float32)
    model = CifarSpeedNet(widths=(24, 24, 24), rngs=nnx.Rngs(0))
    model.whiten(images)
    gradients = nnx.grad(lambda model: jnp.sin(model(images)).mean())(model)
    assert max(float(abs(leaf).max()) for leaf in jax.tree.leaves(gradients)) < 10


BAD = [
    (SimpleCNN, dict(first_kernel_size=4), ValueError, "`first_kernel_size` .=4. must be odd"),
    (SimpleCNN, dict(batch_normalized=1), TypeError, "`batch_normalized` .=1. must be True"),
    (MobileNetV2, dict(width_multiplier=0), ValueError, "`width_multiplier` .=0. must be above 0"),
    (MobileNetV2, dict(width_multiplier="1"), TypeError, "`width_multiplier`.*must be a number"),
    (MobileNetV2, dict(stages=3), TypeError, "`stages` .=3. must be a tuple of tuples"),
    (MobileNetV2, dict(stages=((1, 2, 3),)), ValueError, "`stages` must have .*received .1, 2, 3"),
    (MobileNetV2, dict(dropout=2), ValueError, "`dropout` .=2. must be between 0 and 1"),
    (ConvNeXtTiny, dict(widths=(8, 8)), ValueError, "`widths` .=.8, 8.. must have one entry for e"),
    (ConvNeXtTiny, dict(stochastic_depth=-1), ValueError, "`stochastic_depth` .=-1. must be betwe"),
    (ConvNeXtTiny, dict(remat=2), TypeError, "`remat` .=2. must be True or False"),
    (CifarSpeedNet, dict(widths=(8, 8)), ValueError, "`widths` .=.8, 8.. must have three entries"),
    (CifarSpeedNet, dict(logit_scale="x"), TypeError, "`logit_scale` .='x'. must be a number"),
]


@pytest.mark.parametrize("network, options, error, message", BAD)
def test_bad_options_are_refused(network, options, error, message):
    with pytest.raises(error, match=f"{network.__name__}: {message}"):
        nnx.eval_shape(lambda: network(rngs=nnx.Rngs(0), **options))


def test_wrong_images_are_refused():
    with pytest.raises(ValueError, match="whitening_kernel: `images` must be floats"):
        whitening_kernel(np.ones((4, 8, 8, 3), np.uint8))
    with pytest.raises(
        ValueError, match=r"whitening_kernel: `images`.*received images \(8, 8, 3\)"
    ):
        whitening_kernel(np.ones((8, 8, 3)))
    model = nnx.eval_shape(lambda: ConvNeXtTiny(depths=(1,), widths=(4,), rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"ConvNeXtTiny: `inputs` must be \(\*batch, any, any, 3"):
        model(np.ones((2, 32, 32, 1)))
