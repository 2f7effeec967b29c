"""Convolutions that crop and pad, under the flags that users have: memory of others is not read.

`test_xla_conv.py` runs this in a process without the compiler flags of the suite.
"""

import platform

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from jaxcnn import functional, nn, reference

NHWC = ("NHWC", "HWIO", "NHWC")
# What XLA's own convolution gives for the images below: 26, or with a row of the next image 68.
OF_LAX = {"0.10.2": 68.0, "0.12.0.1": 26.0}


def test_the_smallest_program_of_lax():
    """Row 2 of the first image and a row of padding: 5 + 6 + 7 + 8.

    JAX 0.10.2 reads the first row of the second image in place of the padding, 9 + 10 + 11 + 12
    more, and behind the last image whatever is there. It does so on every call: what lies between
    images does not change.
    """
    inputs = jnp.arange(1, 17, dtype=jnp.float32).reshape(2, 2, 2, 2)
    kernel, padding = jnp.ones((2, 2, 2, 2), jnp.float32), ((-1, 1), (0, 0))

    def first(function):
        def run(inputs, kernel):
            return function(inputs, kernel, (1, 1), padding, dimension_numbers=NHWC)

        return jax.jit(run)(inputs, kernel)[0].ravel().tolist()

    assert first(functional.conv_general_dilated) == [26.0, 26.0]
    if platform.machine() == "x86_64" and jax.__version__ in OF_LAX:
        assert first(lax.conv_general_dilated) == [OF_LAX[jax.__version__]] * 2


def poison(shapes):
    """Leaves NaN and numbers near the largest where arrays of such shapes may come to lie."""
    for number in (np.nan, 3e38):
        arrays = [np.full(shape, number, np.float32) for shape in shapes for _ in range(2)]
        jax.block_until_ready([jax.device_put(array) + 0 for array in arrays])


def runs(times, function, *arrays):
    """What `function` gives, again and again with poisoned memory."""
    compiled = jax.jit(function)
    shapes = [array.shape for array in (*arrays, *jax.tree.leaves(compiled(*arrays)))]
    for _ in range(times):
        poison(shapes)
        yield jax.tree.map(np.asarray, compiled(*arrays))


CONVOLUTIONS = {
    "strided": ((2, 6, 6, 6), (1, 5, 6, 4), dict(strides=2, padding=((-2, 2), (-1, 1)))),
    "large kernel": ((3, 9, 12, 6), (9, 11, 6, 4), dict(padding=((-1, 1), (0, 0)))),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution(case, rng):
    shape, kernel_shape, options = CONVOLUTIONS[case]
    inputs, kernel = (rng.standard_normal(s).astype(np.float32) for s in (shape, kernel_shape))
    expected = reference.conv(inputs, kernel, **options)
    cotangent = rng.standard_normal(expected.shape).astype(np.float32)
    gradients = reference.conv_vjp(cotangent, inputs, kernel, **options)[:2]

    def value_and_gradients(inputs, kernel, cotangent):
        outputs, pullback = jax.vjp(lambda *a: functional.conv(*a, **options), inputs, kernel)
        return outputs, *pullback(cotangent)

    for found in runs(20, value_and_gradients, inputs, kernel, cotangent):
        for ours, right in zip(found, (expected, *gradients), strict=True):
            np.testing.assert_allclose(ours, right, rtol=0, atol=1e-4)


def test_kernel_gradient_of_a_transposed_convolution(rng):
    """A NaN of one channel stays out of the others' gradient, and so does poison.

    A phase of this layer saw the row of zeros below the images times 0. Channels lie behind one
    another there, so that the first row of the next channel was read in its place, every time.
    """
    options = dict(strides=2, padding=[(0, 2), (1, 0)], transpose_kernel=True, use_bias=False)
    layer = nn.ConvTranspose(3, 5, (3, 3), rngs=nnx.Rngs(0), **options)
    inputs = rng.standard_normal((2, 3, 9, 12, 3)).astype(np.float32)
    inputs[..., 0, :, 1] = np.nan
    kernel = np.asarray(layer.kernel[...])
    # Flax's amounts are those of the dilated inputs: 2 less them are the convolution's.
    own = dict(strides=2, padding=((2, 0), (1, 2)), transpose_kernel=True)
    shape = reference.conv_transpose(inputs, kernel, **own).shape
    cotangent = rng.standard_normal(shape).astype(np.float32)
    expected = reference.conv_transpose_vjp(cotangent, inputs, kernel, **own)[1]
    graph, state = nnx.split(layer)

    def gradient(kernel, inputs, cotangent):
        def call(kernel):
            return nnx.merge(graph, {"kernel": state["kernel"].replace(kernel)})(inputs)

        return jax.vjp(call, kernel)[1](cotangent)[0]

    for found in runs(20, gradient, kernel, inputs, cotangent):
        np.testing.assert_allclose(found[..., ::2], expected[..., ::2], rtol=0, atol=1e-3)
