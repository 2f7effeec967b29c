"""Initialisers with metadata: every module takes them, as Flax's own layers do."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import nn
from tests.nn.initializers import drawn
from tests.nn.modules import BASES, LEARNT, MODULES

ROWS = [
    pytest.param(name, argument, id=f"{name}-{argument}")
    for name, (_, _, inits) in LEARNT.items()
    for argument in inits
]


MESH = jax.make_mesh((1,), ("model",), (jax.sharding.AxisType.Auto,))


def on_the_mesh(key, shape, dtype):
    """The same numbers where a draw by JAX would lie within `jax.set_mesh`."""
    return jax.device_put(drawn(key, shape, dtype), jax.NamedSharding(MESH, jax.P()))


def parameters(layer, name):
    """Every parameter of that name in the layer, whole blocks included."""
    flat = nnx.to_flat_state(nnx.state(layer, nnx.Param))
    return [leaf for path, leaf in flat if path[-1] == name and "offsets" not in path]


def test_the_tables_hold_every_module_and_every_initialiser():
    exported = {name for name in nn.__all__ if inspect.isclass(getattr(nn, name))}
    assert exported == set(MODULES) | BASES
    for name, (build, _, inits) in LEARNT.items():
        named = {
            p for p in inspect.signature(build.func.__init__).parameters if p.endswith("_init")
        }
        assert named - {"zero_init"} <= set(inits) or name == "StandardizedConv"


@pytest.mark.parametrize("name, argument", ROWS)
@pytest.mark.parametrize("meshed", [False, True], ids=["", "mesh"])
def test_the_partitioning_becomes_the_parameters(name, argument, meshed):
    """Values are those without, the names are those given, and on a mesh the array lies so."""
    build, inputs, inits = LEARNT[name]
    made = {other: drawn for other in inits}
    plain = build(rngs=nnx.Rngs(0), **made)
    for parameter, rank in inits[argument]:
        names = (*(None,) * (rank - 1), "model")
        made[argument] = nnx.with_partitioning(on_the_mesh if meshed else drawn, names)
        if meshed:
            with jax.set_mesh(MESH):
                layer = build(rngs=nnx.Rngs(0), **made)
        else:
            with nnx.use_eager_sharding(False):
                layer = build(rngs=nnx.Rngs(0), **made)
        found, expected = parameters(layer, parameter), parameters(plain, parameter)
        assert found and len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert one.get_metadata("out_sharding") == names and one[...].ndim == rank
            np.testing.assert_array_equal(one[...], other[...])
            if meshed:
                assert one[...].sharding.is_equivalent_to(
                    jax.NamedSharding(MESH, jax.P(*names)), rank
                )
        specs = nnx.get_partition_spec(nnx.state(layer, nnx.Param))
        flat = nnx.to_flat_state(specs)
        assert jax.P(*names) in [spec.get_value() for path, spec in flat if path[-1] == parameter]
    outputs = [nnx.eval_shape(lambda m, *x: m(*x), layer, *inputs) for layer in (layer, plain)]
    assert jax.tree.map(jnp.shape, outputs[0]) == jax.tree.map(jnp.shape, outputs[1])


@pytest.mark.parametrize("name", ["DepthwiseConv", "SeparableConv", "ConvLocal", "TableConv"])
def test_other_metadata_and_meshes_of_the_initialiser_arrive(name):
    """A mesh given with the names needs none around; what the metadata hold stays whole."""
    build, _, inits = LEARNT[name]
    ((parameter, rank), *_) = inits["kernel_init"]
    mesh = jax.make_mesh((1,), ("all",), (jax.sharding.AxisType.Auto,))
    names = ("rows", *(None,) * (rank - 1))
    init = nnx.with_partitioning(
        drawn, names, mesh=mesh, sharding_rules=(("rows", "all"),), colour="red"
    )
    layer = build(kernel_init=init, rngs=nnx.Rngs(0))
    kernel = getattr(layer, parameter)
    assert kernel.get_metadata("colour") == "red"
    assert kernel.get_metadata("out_sharding") == names
    assert kernel[...].sharding.is_equivalent_to(jax.NamedSharding(mesh, jax.P("all")), rank)
    abstract = nnx.eval_shape(lambda: build(kernel_init=init, rngs=nnx.Rngs(0)))
    assert getattr(abstract, parameter).get_metadata("colour") == "red"
    assert getattr(abstract, parameter).shape == kernel.shape
