"""The resize-convolution as a module: one call with its own parameters."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import functional as F
from jaxcnn import nn
from tests.nn.initializers import drawn


def test_one_call_with_its_own_parameters(rng):
    options = dict(scale=(2, 3), method="linear", padding=((1, 0), (2, 1)), kernel_dilation=(1, 2))
    parameters = dict(kernel_init=drawn, bias_init=drawn, param_dtype=jnp.float64)
    layer = nn.ResizeConv(4, 6, (3, 2), rngs=nnx.Rngs(0), **parameters, **options)
    inputs = jax.device_put(rng.normal(size=(2, 5, 6, 4)))
    expected = F.resize_conv(inputs, layer.kernel[...], layer.bias[...], **options)
    np.testing.assert_allclose(layer(inputs), expected, rtol=1e-12)
    gradient = nnx.jit(nnx.grad(lambda m, x: jnp.sum(m(x) ** 2)))(layer, inputs)
    assert all(np.asarray(leaf).any() for leaf in jax.tree.leaves(gradient))
    copy = pickle.loads(pickle.dumps(nnx.merge(*nnx.split(layer))))
    np.testing.assert_array_equal(copy(inputs), layer(inputs))


def test_starts_as_a_convolution_does():
    layer = nn.ResizeConv(3, 5, (3, 3), dtype=jnp.bfloat16, rngs=nnx.Rngs(7))
    plain = nn.Conv(3, 5, (3, 3), rngs=nnx.Rngs(7))
    np.testing.assert_array_equal(layer.kernel[...], plain.kernel[...])
    outputs = nnx.eval_shape(lambda m: m(jnp.ones((4, 5, 3), jnp.float32)), layer)
    assert outputs.shape == (8, 10, 5) and outputs.dtype == jnp.bfloat16
    assert nn.ResizeConv(3, 5, (3,), use_bias=False, rngs=nnx.Rngs(0)).bias is None


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(scale=0), ValueError, "`scale` .=0. must be at least 1"),
        (dict(scale=(2, 2, 2)), ValueError, "`scale`.*2 spatial axes"),
        (dict(method="cubic"), ValueError, "`method` .='cubic'. must be one of"),
        (dict(kernel_size=3), TypeError, "`kernel_size` .=3. must be a tuple"),
    ],
)
def test_bad_options_are_refused(options, error, message):
    options = dict(options)
    with pytest.raises(error, match=f"ResizeConv: {message}"):
        nn.ResizeConv(
            **{**dict(in_features=3, out_features=4, kernel_size=(3, 3)), **options},
            rngs=nnx.Rngs(0),
        )
