"""LeNet-5 layer by layer: its parameters counted, its shapes, one step of training."""

import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn.models import LeNet5, LeNet5Classic
from jaxcnn.models.lenet_classic import C3_CONNECTIONS, digit_codes, scaled_tanh


def count(module) -> int:
    """Trainable parameters of a module."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


def loss(model, images):
    """Softmax cross-entropy of three images."""
    scores = jax.nn.log_softmax(model(images))
    return -jnp.take_along_axis(scores, np.array([[1], [0], [7]]), 1).mean()


def test_parameters_layer_by_layer():
    model = nnx.eval_shape(lambda: LeNet5(rngs=nnx.Rngs(0)))
    layers = {**vars(model.features), **vars(model.classifier)}
    counts = {name: count(layer) for name, layer in layers.items() if isinstance(layer, nnx.Module)}
    assert {name: number for name, number in counts.items() if number} == {
        "conv1": 156,
        "conv2": 2_416,
        "fc1": 48_120,
        "fc2": 10_164,
        "fc3": 850,
    }
    assert count(model) == 61_706


def moved(model, gradient) -> None:
    """Takes one step of gradient descent, on the host."""
    values, slopes = jax.device_get((nnx.state(model, nnx.Param), gradient))
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(slopes))
    nnx.update(model, jax.tree.map(lambda p, g: jax.device_put(p - 1e-3 * g), values, slopes))


def test_one_step_of_training_and_the_parts(filled, rng):
    model = filled(functools.partial(LeNet5, param_dtype=jnp.float32))
    images = rng.normal(size=(3, 28, 28, 1)).astype(np.float32)
    names = []

    @nnx.jit
    def run(model, images):
        value, gradient = nnx.value_and_grad(loss)(model, images)
        features, maps = model.features(images), model.feature_maps(images)
        names[:] = maps
        parts = model.classifier(features), model(images[1])
        return value, gradient, model(images), features, parts, list(maps.values())

    before, gradient, *_ = run(model, images)
    moved(model, gradient)
    after, _, logits, features, (classified, one), maps = run(model, images)
    assert after < before

    assert features.shape == (3, 5, 5, 16)
    np.testing.assert_allclose(classified, logits, atol=1e-6)
    np.testing.assert_allclose(one, logits[1], atol=1e-5)
    assert names == ["conv1", "pool1", "conv2", "pool2"]
    np.testing.assert_allclose(maps[3], features, atol=1e-6)
    assert np.asarray(maps[0]).min() == 0
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(run(copy, images)[2], logits, atol=1e-6)


def test_mixed_precision_is_one_argument():
    model = nnx.eval_shape(lambda: LeNet5(26, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)))
    outputs = nnx.eval_shape(lambda m: m(jnp.zeros((2, 28, 28, 1), jnp.bfloat16)), model)
    assert outputs.shape == (2, 26) and outputs.dtype == jnp.bfloat16
    assert model.features.conv1.kernel.dtype == jnp.float32


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(num_classes=0), ValueError, r"LeNet5: `num_classes` \(=0\) must be at least 1"),
        (dict(num_classes="10"), TypeError, "LeNet5: `num_classes`.*must be an int"),
        (dict(rngs=1), TypeError, "LeNet5: `rngs` must be flax.nnx.Rngs"),
        (dict(dtype=jnp.int8), ValueError, "LeNet5: `dtype` .=int8. must be a floating"),
        (dict(param_dtype="f9"), TypeError, "LeNet5: `param_dtype`.*must be a dtype"),
    ],
)
def test_wrong_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        LeNet5(**{"rngs": nnx.Rngs(0), **options})


def test_wrong_images_are_refused():
    model = nnx.eval_shape(lambda: LeNet5(rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"LeNet5: `inputs` must be \(\*batch, 28, 28, 1\); rece"):
        model(np.ones((2, 32, 32, 1)))


def test_classic_parameters_layer_by_layer():
    model = nnx.eval_shape(lambda: LeNet5Classic(rngs=nnx.Rngs(0)))
    layers = {**vars(model.features), **vars(model.classifier)}
    counts = {name: count(layer) for name, layer in layers.items() if isinstance(layer, nnx.Module)}
    assert {name: number for name, number in counts.items() if number} == {
        "c1": 156,
        "s2": 12,
        "c3": 1_516,
        "s4": 32,
        "c5": 48_120,
        "f6": 10_164,
    }
    assert count(model) == 60_000
    assert [len(row) for row in C3_CONNECTIONS] == [3] * 6 + [4] * 9 + [6]
    # Each map of S2 feeds ten of C3, and no two of C3 see the same maps.
    assert np.bincount(sum(C3_CONNECTIONS, ())).tolist() == [10] * 6
    assert len({frozenset(row) for row in C3_CONNECTIONS}) == 16
    assert C3_CONNECTIONS[12:15] == ((0, 1, 3, 4), (1, 2, 4, 5), (2, 3, 5, 0))


def test_classic_codes_are_the_digits_drawn():
    codes = digit_codes()
    assert codes.shape == (84, 10) and set(np.unique(codes)) == {-1.0, 1.0}
    seven = codes[:, 7].reshape(12, 7)
    assert (seven[1, 1:6] == 1).all() and (seven[10] == 1).tolist() == [0, 0, 1, 0, 0, 0, 0]
    distances = ((codes[:, :, None] - codes[:, None]) ** 2).sum(0)
    assert distances[~np.eye(10, dtype=bool)].min() >= 16  # four dots apart at least


def test_classic_steps_and_leaves_its_codes_alone(rng):
    model = LeNet5Classic(param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    images = rng.normal(size=(3, 28, 28, 1))

    @nnx.jit
    def run(model, images):
        value, gradient = nnx.value_and_grad(loss)(model, images)
        padded = jnp.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
        maps = list(model.feature_maps(padded).values())
        return value, gradient, model(padded), model(images[1]), model(images), maps

    before, gradient, *_ = run(model, images)
    assert "output" not in gradient.classifier
    moved(model, gradient)
    after, _, scores, one, _, maps = run(model, images)
    assert after < before
    np.testing.assert_array_equal(model.classifier.output.codes[...], digit_codes())

    np.testing.assert_allclose(one, scores[1], rtol=1e-10)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(run(copy, images)[4], scores, rtol=1e-10)
    assert [a.shape[1:] for a in maps] == [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16)]
    np.testing.assert_allclose(scaled_tanh(np.array([1.0, -1.0])), [1.0, -1.0], atol=1e-4)


@pytest.mark.parametrize("shape", [(32, 28, 1), (32, 32, 3), (30, 30, 1), (32,)])
def test_classic_refuses_other_images(shape):
    model = nnx.eval_shape(lambda: LeNet5Classic(rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"LeNet5Classic: `inputs` must be \(\*batch"):
        model(np.ones(shape))
    with pytest.raises(TypeError, match="LeNet5Classic: `rngs`"):
        LeNet5Classic(rngs=None)
