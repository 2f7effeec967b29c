"""Chains keep order, names and parameters; activations and flattening as modules."""

import pickle

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import nn


def double(array):
    """A layer without parameters."""
    return array * 2


def test_layers_run_in_order_under_their_names():
    chain = nn.Chain(first=double, second=nn.Activation(jnp.exp), third=nn.Flatten(0))
    inputs = jnp.array([[0.0, 1.0]])
    np.testing.assert_allclose(chain(inputs), np.exp([0.0, 2.0]), rtol=1e-12)
    outputs = chain.outputs(inputs)
    assert list(outputs) == ["first", "second", "third"] == list(chain.names)
    np.testing.assert_allclose(outputs["second"], np.exp([[0.0, 2.0]]), rtol=1e-12)
    assert chain.first is double


def test_names_are_the_paths_of_parameters():
    chain = nn.Chain(conv=nn.Conv(1, 2, (3,), rngs=nnx.Rngs(0)), last=nn.Activation("relu"))
    assert set(nnx.to_pure_dict(nnx.state(chain))["conv"]) == {"kernel", "bias"}
    graph, state = nnx.split(chain)
    copy = pickle.loads(pickle.dumps(nnx.merge(graph, state)))
    inputs = jnp.ones((4, 1), jnp.float32)
    np.testing.assert_array_equal(nnx.jit(lambda m, x: m(x))(copy, inputs), chain(inputs))


def test_bad_layers_are_refused():
    with pytest.raises(ValueError, match="Chain: needs at least one layer"):
        nn.Chain()
    with pytest.raises(TypeError, match="Chain: `pool` .=2. must be a function, got int"):
        nn.Chain(pool=2)
    with pytest.raises(ValueError, match="Chain: `train` is no name for a layer"):
        nn.Chain(train=double)


def test_activations():
    inputs = jnp.array([-1.5, 0.5])
    np.testing.assert_allclose(nn.Activation("silu")(inputs), nnx.silu(inputs))
    np.testing.assert_allclose(nn.Activation(double)(inputs), [-3.0, 1.0])
    with pytest.raises(ValueError, match="Activation: `function` .='swoosh'. must be the name"):
        nn.Activation("swoosh")
    with pytest.raises(TypeError, match="Activation: `function` .=3. must be a function"):
        nn.Activation(3)


@pytest.mark.parametrize(
    "axes, shape",
    [((), (2, 3, 120)), ((-2,), (2, 3, 4, 30)), ((1,), (2, 360)), ((0, 2), (24, 5, 6))],
)
def test_flatten(axes, shape, rng):
    inputs = jnp.asarray(rng.normal(size=(2, 3, 4, 5, 6)))
    outputs = nn.Flatten(*axes)(inputs)
    assert outputs.shape == shape
    np.testing.assert_array_equal(outputs.ravel(), inputs.ravel())
    assert nn.Flatten()(inputs[:0]).shape == (0, 3, 120)


def test_flatten_refuses_axes_that_are_not_there():
    with pytest.raises(ValueError, match="Flatten: `end_axis` .=-2. must not come before"):
        nn.Flatten(-1, -2)
    with pytest.raises(TypeError, match="Flatten: `start_axis`"):
        nn.Flatten("first")
    with pytest.raises(ValueError, match=r"Flatten: `inputs` must have the axes -3 to -1; .*\(2,"):
        nn.Flatten()(jnp.ones((2, 3)))
