"""Fully connected layers as convolutions and back, and classifiers on larger images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import models, nn

CLOSE = dict(rtol=1e-9, atol=1e-9)


def drawn(key, shape, dtype):
    """An initialiser that compiles nothing; He's scale, so that logits tell images apart."""
    del key
    fan_in = max(int(np.prod(shape[:-1])), 1)
    values = np.random.default_rng(sum(shape)).normal(size=shape) * np.sqrt(2 / fan_in)
    return jax.device_put(values.astype(dtype))


def test_a_dense_layer_slides_as_a_convolution(rng):
    dense = nnx.Linear(
        3 * 2 * 4, 5, kernel_init=drawn, bias_init=drawn, param_dtype=jnp.float64, rngs=nnx.Rngs(0)
    )
    conv = nn.dense_to_conv(dense, (3, 2))
    assert isinstance(conv, nn.Conv) and conv.kernel.shape == (3, 2, 4, 5)
    images = rng.normal(size=(2, 4, 5, 4))
    outputs = np.asarray(conv(jax.device_put(images)))
    assert outputs.shape == (2, 2, 4, 5)
    for row in range(2):
        for column in range(4):
            window = images[:, row : row + 3, column : column + 2]
            np.testing.assert_allclose(
                outputs[:, row, column], dense(window.reshape(2, -1)), **CLOSE
            )
    plain = nn.dense_to_conv(nnx.Linear(6, 2, use_bias=False, rngs=nnx.Rngs(0)), (3,))
    assert plain.bias is None and plain.kernel.shape == (3, 2, 2)


@pytest.mark.parametrize(
    "build, shape",
    [
        (
            functools.partial(
                nn.Conv, 4, 6, (3, 2), (2, 1), padding=1, feature_group_count=2, bias_init=drawn
            ),
            (5, 4, 4),
        ),
        (functools.partial(nn.Conv, 2, 3, (3,), kernel_dilation=2, use_bias=False), (7, 2)),
        (functools.partial(nn.ConvTranspose, 2, 3, (3, 3), 2, bias_init=drawn), (3, 4, 2)),
        (functools.partial(nn.ConvLocal, 2, 3, (2, 2), (4, 3), bias_init=drawn), (4, 3, 2)),
    ],
)
def test_a_convolution_is_a_dense_layer(build, shape, rng):
    conv = build(param_dtype=jnp.float64, kernel_init=drawn, rngs=nnx.Rngs(0))
    dense = nn.conv_to_dense(conv, shape)
    images = rng.normal(size=(3, *shape))
    flat = jax.device_put(images.reshape(3, -1))
    outputs = np.asarray(conv(jax.device_put(images)))
    np.testing.assert_allclose(dense(flat), outputs.reshape(3, -1), **CLOSE)
    assert dense.kernel.shape == (np.prod(shape), outputs[0].size)


def test_a_convolution_comes_back_through_its_matrix(rng):
    conv = nn.Conv(
        2, 3, (4, 3), padding="VALID", param_dtype=jnp.float64, kernel_init=drawn, rngs=nnx.Rngs(0)
    )
    back = nn.dense_to_conv(nn.conv_to_dense(conv, (4, 3, 2)), (4, 3))
    np.testing.assert_array_equal(back.kernel[...], conv.kernel[...])


def test_an_average_pool_is_a_dense_layer(rng):
    pool = nn.AvgPool((2, 2), strides=2)
    dense = nn.conv_to_dense(pool, (4, 4, 1))
    images = rng.normal(size=(1, 4, 4, 1)).astype(np.float32)
    flat = jax.device_put(images.reshape(1, -1))
    np.testing.assert_allclose(dense(flat), np.reshape(pool(images), (1, -1)), rtol=1e-5)


def classifies_windows(model, reader, small, large, window):
    """Holds the reader against the classifier on one image, and on windows of a larger one."""
    evaluate = nnx.jit(lambda m, x: (m.features(x), m(x)))
    logits = np.asarray(evaluate(model, small)[1])
    one = np.asarray(evaluate(reader, small)[1])
    close = 1e-5 * float(np.abs(logits).max())  # float32 sums in another order
    assert one.shape == (*small.shape[:-3], 1, 1, logits.shape[-1])
    np.testing.assert_allclose(one[..., 0, 0, :], logits, rtol=1e-4, atol=close)
    maps, many = map(np.asarray, evaluate(reader, large))
    rows, columns = (n - m + 1 for n, m in zip(maps.shape[-3:-1], window, strict=True))
    assert many.shape[-3:-1] == (rows, columns) and rows * columns > 1
    windows = np.stack(
        [
            maps[..., i : i + window[0], j : j + window[1], :]
            for i in range(rows)
            for j in range(columns)
        ]
    )
    expected = nnx.jit(lambda m, x: m.classifier(x))(model, windows)
    np.testing.assert_allclose(
        many.reshape(*many.shape[:-3], rows * columns, -1),
        np.moveaxis(np.asarray(expected), 0, -2),
        rtol=1e-4,
        atol=close,
    )


@pytest.fixture
def reading(rng):
    """Makes a classifier with drawn parameters, and images."""

    def make(build, small, large):
        graph, state = nnx.split(nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0))))
        model = nnx.merge(graph, jax.tree.map(lambda p: drawn(None, p.shape, p.dtype), state))
        images = (rng.normal(size=shape).astype(np.float32) for shape in (small, large))
        return model, *images

    return make


def test_lenet_reads_larger_images(reading):
    model, small, large = reading(models.LeNet5, (3, 28, 28, 1), (2, 36, 48, 1))
    reader = nn.convolutionalize(model)
    classifies_windows(model, reader, small, large, (5, 5))
    reader.features.conv1.kernel[...] = np.zeros_like(reader.features.conv1.kernel[...])
    assert model.features.conv1.kernel[...].any()


def test_alexnet_reads_larger_images(reading):
    """As VGG, whose pool to 7x7 costs ten times as much to reach."""
    build = functools.partial(models.AlexNet, 5, hidden_features=8, dropout=0.0)
    model, small, large = reading(build, (1, 224, 224, 3), (1, 224, 288, 3))
    reader = nn.convolutionalize(model)
    assert reader.classifier.names == (
        "dropout1",
        "fc1",
        "relu1",
        "dropout2",
        "fc2",
        "relu2",
        "fc3",
    )
    classifies_windows(model, reader, small, large, (6, 6))


def test_averages_become_averages_over_windows(reading):
    build = functools.partial(models.CifarResNet, 8, widths=(4, 4, 4))
    model, small, large = reading(build, (2, 16, 16, 3), (2, 24, 16, 3))
    model.eval()
    reader = nn.convolutionalize(model, (16, 16, 3))
    classifies_windows(model, reader, small, large, (4, 4))


class WithFunctions(nnx.Module):
    """Functions of single elements and of channels among the layers, where modules would do."""

    def __init__(self, *, rngs):
        self.features = nn.Chain(conv=nn.Conv(2, 3, (3, 3), rngs=rngs), gelu=nnx.gelu)
        self.classifier = nn.Chain(
            tanh=jnp.tanh,
            flatten=nn.Flatten(),
            fc1=nnx.Linear(60, 5, rngs=rngs),
            leaky=functools.partial(jax.nn.leaky_relu, negative_slope=0.2),
            shares=nnx.softmax,
            fc2=nnx.Linear(5, 4, rngs=rngs),
        )

    def __call__(self, inputs):
        return self.classifier(self.features(inputs))


def test_functions_between_layers_stay_where_they_are(reading):
    model, small, large = reading(WithFunctions, (2, 4, 5, 2), (1, 6, 6, 2))
    reader = nn.convolutionalize(model, (4, 5, 2))
    classifies_windows(model, reader, small, large, (4, 5))
    model.classifier.shares = functools.partial(nnx.softmax, axis=1)
    with pytest.raises(TypeError, match="convolutionalize: can't turn `shares`, softmax, of the"):
        nn.convolutionalize(model, (4, 5, 2))


def test_a_normalisation_in_training_is_not_changed(rng):
    norm = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
    with jax.numpy_dtype_promotion("standard"):
        dense = nn.conv_to_dense(norm, (2, 2, 3))
    np.testing.assert_array_equal(norm.mean[...], np.zeros(3))
    expected = np.eye(12) / np.sqrt(1 + norm.epsilon)
    np.testing.assert_allclose(dense.kernel[...], expected, rtol=1e-6)


def test_bad_arguments_are_refused():
    dense = nnx.eval_shape(lambda: nnx.Linear(24, 2, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="dense_to_conv: `window_shape` .=.5, 5.. must hold a who"):
        nn.dense_to_conv(dense, (5, 5))
    with pytest.raises(TypeError, match="dense_to_conv: `window_shape` .=5. must be a tuple"):
        nn.dense_to_conv(dense, 5)
    with pytest.raises(TypeError, match="dense_to_conv: `layer` must be .*Linear, got int"):
        nn.dense_to_conv(3, (1, 1))
    with pytest.raises(TypeError, match="conv_to_dense: `layer` must be a layer, got str"):
        nn.conv_to_dense("conv", (3, 3, 1))
    with pytest.raises(TypeError, match="conv_to_dense: `input_shape` .=3. must be a tuple"):
        nn.conv_to_dense(nn.AvgPool((2,)), 3)
    with pytest.raises(TypeError, match="convolutionalize: `model` must have modules"):
        nn.convolutionalize(dense)
    model = nnx.eval_shape(lambda: models.CifarResNet(8, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="convolutionalize: `input_shape` must say how large"):
        nn.convolutionalize(model)
    simple = nnx.eval_shape(lambda: models.SimpleCNN(rngs=nnx.Rngs(0)))
    with pytest.raises(TypeError, match="convolutionalize: can't turn `conv`, ConvBlock"):
        nn.convolutionalize(simple, (28, 28, 1))
