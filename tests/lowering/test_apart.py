"""What a CPU's compiler is to compile apart stays apart."""

import jax
import jax.numpy as jnp
import pytest

from jaxcnn import functional


def compiled(layers: int) -> str:
    """The program of so many depthwise convolutions, each with a normalisation that reads it."""

    def network(inputs, kernels):
        for kernel in kernels:
            maps = functional.depthwise_conv(inputs, kernel, padding="SAME")
            inputs = maps - maps.mean(-1, keepdims=True)
        return inputs

    inputs = jax.ShapeDtypeStruct((2, 8, 8, 16), jnp.float32)
    kernels = [jax.ShapeDtypeStruct((3, 3, 16, 1), jnp.float32)] * layers
    return str(jax.jit(network).lower(inputs, kernels).compile().as_text())


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="said of XLA's CPU compiler")
def test_no_reader_of_a_depthwise_convolution_makes_it_anew():
    one, three = (compiled(layers).count(" slice(") for layers in (1, 3))
    assert 9 <= one <= 18 and three == 3 * one
