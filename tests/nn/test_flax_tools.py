"""What Flax does to any module, done to each of ours: tables, prints, copies."""

import copy

import jax
import numpy as np
import pytest
import treescope
from flax import nnx

from jaxcnn import nn
from tests.flax_tables import table
from tests.nn.initializers import drawn
from tests.nn.modules import LEARNT, MODULES


def built(name):
    build, inputs = MODULES[name]
    inits = LEARNT[name][2] if name in LEARNT else {}
    return build(rngs=nnx.Rngs(0), **dict.fromkeys(inits, drawn)), inputs


def outputs(layer, inputs):
    """Shapes and dtypes of what it gives."""
    return nnx.eval_shape(lambda layer, *inputs: layer(*inputs), layer, *inputs)


def arrays(layer):
    """What it holds, keys as numbers."""
    keys, rest = nnx.state(layer, nnx.RngKey, ...)
    return jax.tree.leaves((jax.tree.map(jax.random.key_data, keys), rest))


@pytest.mark.parametrize("name", MODULES)
def test_tables_list_every_module(name):
    layer, inputs = built(name)
    graph, told = nnx.graphdef(layer), table(layer, inputs)
    assert f"{type(layer).__name__} Summary" in told
    for out in jax.tree.leaves(outputs(layer, inputs)):
        assert f"[{','.join(map(str, out.shape))}]" in told
    called = {path for path, each in nnx.iter_modules(layer) if callable(each)}
    assert all("/".join(map(str, path)) in told for path in called)
    assert nnx.graphdef(layer) == graph


@pytest.mark.filterwarnings("ignore::DeprecationWarning:treescope")  # of JAX, not of ours
@pytest.mark.parametrize("name", MODULES)
def test_prints_and_copies(name, capsys):
    layer, inputs = built(name)
    kind = type(layer).__name__
    nnx.display(layer)
    assert capsys.readouterr().out.startswith(kind) and repr(layer).startswith(kind)
    assert kind in treescope.render_to_text(layer)
    expected = outputs(layer, inputs)
    for other in (copy.deepcopy(layer), nnx.clone(layer), nnx.merge(*nnx.split(layer))):
        assert nnx.graphdef(other) == nnx.graphdef(layer)
        for one, two in zip(arrays(layer), arrays(other), strict=True):
            np.testing.assert_array_equal(one, two)
    abstract = nnx.eval_shape(lambda: MODULES[name][0](rngs=nnx.Rngs(0)))
    assert repr(abstract).startswith(kind)
    nnx.update(abstract, nnx.state(layer))
    assert outputs(abstract, inputs) == expected


class Own(nnx.Module):
    """A user's own module, whose call goes through the layers of a chain."""

    def __init__(self, *, rngs):
        self.chain = nn.Chain(conv=nn.Conv(4, 3, (3, 2), rngs=rngs), relu=nnx.relu)

    def __call__(self, inputs):
        for layer in self.chain.layers:
            inputs = layer(inputs)
        return inputs


def test_tables_of_a_module_that_goes_through_the_layers_of_a_chain():
    told = table(Own(rngs=nnx.Rngs(0)), (jax.ShapeDtypeStruct((2, 5, 6, 4), "float32"),))
    assert "chain/conv" in told and "[2,5,6,3]" in told
