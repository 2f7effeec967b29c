"""Values for models from `nnx.eval_shape`, and where among the devices they go."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array


def valueless(model: nnx.Module) -> dict[str, nnx.Variable]:
    """The variables that have a shape alone, by their paths, such as `classifier.fc.kernel`."""
    return {
        ".".join(map(str, path)): leaf
        for path, leaf in nnx.to_flat_state(nnx.state(model))
        if isinstance(leaf, nnx.Variable) and isinstance(leaf.get_value(), jax.ShapeDtypeStruct)
    }


def paths(model: nnx.Module) -> dict[int, str]:
    """The path of every variable, by its id."""
    return {
        id(leaf): ".".join(map(str, path)) for path, leaf in nnx.to_flat_state(nnx.state(model))
    }


def placed(variable: nnx.Variable, array: np.ndarray) -> Array:
    """The array in the dtype of the variable's, and on the devices where that lies or is to lie."""
    value: Any = variable.get_value()
    sharding = _sharding(variable, value)
    return jax.device_put(array.astype(value.dtype), sharding)


def _sharding(variable: nnx.Variable, value: Any) -> jax.sharding.Sharding | None:
    """Where the variable lies, or was said to lie; None where nobody said anything."""
    if isinstance(value, jax.Array):
        return value.sharding if value.committed else None
    sharding = value.sharding
    mesh = variable.get_metadata("mesh", None) or jax.sharding.get_mesh()
    if sharding is None and not mesh.empty:
        spec: Any = nnx.get_partition_spec(variable)
        sharding = jax.NamedSharding(mesh, spec.get_value())
    # Within `jax.set_mesh`, `nnx.eval_shape` notes the axes, and not which devices they are.
    if isinstance(sharding, jax.NamedSharding) and not isinstance(sharding.mesh, jax.sharding.Mesh):
        if mesh.abstract_mesh == sharding.mesh:
            return jax.NamedSharding(mesh, sharding.spec)
        if any(sharding.spec):
            raise ValueError(
                f"`model` has parameters that are to lie as {sharding.spec} over the "
                f"mesh {dict(sharding.mesh.shape)}, made by nnx.eval_shape within jax.set_mesh; "
                f"call load_torch within the same jax.set_mesh"
            )
        return None
    return sharding


def fill_streams(model: nnx.Module, rngs: nnx.Rngs) -> None:
    """Gives keys to the streams that have none yet, each its own, and counts from 0."""
    for _, node in nnx.iter_graph(model):
        if not isinstance(node, nnx.RngStream):
            continue
        shape = node.key.shape
        if isinstance(node.key.get_value(), jax.ShapeDtypeStruct):
            key = rngs.dropout()
            node.key.set_value(jax.random.split(key, shape) if shape else key)
        if isinstance(node.count.get_value(), jax.ShapeDtypeStruct):
            node.count.set_value(jnp.zeros(shape, node.count.get_value().dtype))
