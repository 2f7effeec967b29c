"""Sparse tables and trainable subsampling, against the dense forms they stand for."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import functional, nn
from jaxcnn.testing import check_gradients
from tests.nn.initializers import drawn

TABLE = ((0, 2), (3,), (1, 0, 3))


def test_table_conv_is_a_sum_over_connected_pairs(rng):
    parameters = dict(kernel_init=drawn, bias_init=drawn, param_dtype=jnp.float64)
    layer = nn.TableConv(4, TABLE, (3, 2), 2, padding=1, rngs=nnx.Rngs(0), **parameters)
    assert layer.kernel.shape == (3, 2, 6) and layer.out_features == 3
    inputs = jax.device_put(rng.normal(size=(2, 5, 6, 4)))
    kernels, bias = np.asarray(layer.kernel), np.asarray(layer.bias)
    expected, pair = np.zeros((2, 3, 4, 3)), 0
    for output, row in enumerate(TABLE):
        expected[..., output] = bias[output]
        for entry in row:
            kernel = jax.device_put(kernels[..., pair, None, None])
            image = jax.device_put(np.asarray(inputs)[..., entry : entry + 1])
            plane = functional.conv(image, kernel, strides=2, padding=1)
            expected[..., output] += np.asarray(plane)[..., 0]
            pair += 1
    np.testing.assert_allclose(layer(inputs), expected, rtol=1e-12)
    np.testing.assert_allclose(nnx.jit(lambda m, x: m(x))(layer, inputs), expected, rtol=1e-12)

    graph, state = nnx.split(layer)

    def apply(kernel, inputs):
        parameters = {"bias": state["bias"], "kernel": state["kernel"].replace(kernel)}
        return nnx.merge(graph, nnx.State(parameters))(inputs)

    check_gradients(apply, (layer.kernel[...], inputs))
    assert pickle.loads(pickle.dumps(layer)).connections == TABLE


def test_a_full_table_is_a_convolution(rng):
    layer = nn.TableConv(
        3, [range(3)] * 2, (3,), use_bias=False, param_dtype=jnp.float64, rngs=nnx.Rngs(0)
    )
    inputs = jax.device_put(rng.normal(size=(7, 3)))
    kernel = jax.device_put(np.asarray(layer.kernel).reshape(3, 2, 3).swapaxes(1, 2))
    np.testing.assert_allclose(layer(inputs), functional.conv(inputs, kernel), rtol=1e-12)
    assert layer.bias is None
    np.testing.assert_array_equal(layer.dense_kernel(), kernel)


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(connections=((0, 4),)), ValueError, r"0 to 3, at most once; received \(0, 4\)"),
        (dict(connections=((0,), (1, 1))), ValueError, "at most once; .* for output feature 1"),
        (dict(connections=((0,), ())), ValueError, "`connections` must name at least one"),
        (dict(connections=()), ValueError, "`connections` must name at least one"),
        (dict(connections=3), TypeError, "`connections` .=3. must hold a tuple"),
        (dict(connections=((-1,),)), ValueError, "`connections` .=-1. must be at least 0"),
        (dict(kernel_size=5), TypeError, r"`kernel_size` .=5. must be a tuple.*\(5,\)"),
        (dict(rngs=None), TypeError, "`rngs` must be flax.nnx.Rngs"),
        (dict(kernel_init=0), TypeError, "`kernel_init`.*must be a function"),
    ],
)
def test_bad_tables_are_refused(options, error, message):
    base = dict(in_features=4, connections=TABLE, kernel_size=(3,), rngs=nnx.Rngs(0))
    with pytest.raises(error, match="TableConv: .*" + message):
        nn.TableConv(**{**base, **options})


def test_subsampling_scales_sums(rng):
    layer = nn.Subsampling(3, (2, 3), param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    inputs = jax.device_put(rng.normal(size=(2, 4, 7, 3)))
    np.testing.assert_allclose(layer(inputs), functional.avg_pool(inputs, (2, 3), (2, 3)))
    layer.coefficient[...] = jax.device_put(np.array([1.0, -2.0, 0.5]))
    layer.bias[...] = jax.device_put(np.array([0.0, 1.0, 2.0]))
    sums = np.asarray(functional.sum_pool(inputs, (2, 3), (2, 3)))
    expected = sums * np.array([1.0, -2.0, 0.5]) + np.array([0.0, 1.0, 2.0])
    np.testing.assert_allclose(layer(inputs), expected, rtol=1e-12)
    gradient = jax.tree.leaves(nnx.jit(nnx.grad(lambda m: m(inputs).sum()))(layer))
    np.testing.assert_allclose(gradient[0], [16.0 / 2] * 3)
    np.testing.assert_allclose(gradient[1], sums.sum((0, 1, 2)), rtol=1e-12)


def test_subsampling_of_16_bits_sums_its_gradients_in_float32():
    layer = nn.Subsampling(1, (1,), param_dtype=jnp.bfloat16, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    inputs = np.ones((4096, 1), jnp.bfloat16)
    graph, params = nnx.split(layer)

    @jax.jit
    def gradient(params):
        return jax.vjp(lambda params: nnx.merge(graph, params)(inputs), params)[1](inputs)

    (gradients,) = gradient(params)
    assert gradients["bias"][...] == gradients["coefficient"][...] == 4096


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(features=0), ValueError, "`features` .=0. must be at least 1"),
        (dict(window_shape=2), TypeError, "`window_shape` .=2. must be a tuple"),
        (dict(strides=0), ValueError, "`strides` .=0. must be at least 1"),
        (dict(coefficient_init=2.0), TypeError, "`coefficient_init`.*must be a function"),
        (dict(dtype=bool), ValueError, "`dtype` .=bool. must be a floating"),
    ],
)
def test_bad_subsampling_is_refused(options, error, message):
    base = dict(features=3, window_shape=(2, 2), rngs=nnx.Rngs(0))
    with pytest.raises(error, match="Subsampling: " + message):
        nn.Subsampling(**{**base, **options})
