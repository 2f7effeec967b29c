"""A network taken apart: what is static, and the arrays that training changes.

The arrays are one pytree of nested dicts, {"params": ..., "stats": ...}: what gradients change, and
all else (averages of batch norms, fixed arrays). Keys of dropout are no part of it: they are made
anew for each step, so that they follow from the seed and the step alone.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Sharding

Model = dict[str, Any]


class Network:
    """The static part of a network.

    Attributes:
      shapes: of the arrays.
    """

    def __init__(
        self,
        make: Callable[[nnx.Rngs], nnx.Module],
        *,
        frozen: tuple[str, ...] = (),
        begin: Callable[[nnx.Module], Any] | None = None,
    ):
        """Takes apart what `make` gives, without computing a parameter.

        Args:
          make: makes the network with fresh parameters.
          frozen: paths of parts that are never in training.
          begin: gives the fresh network the weights that it is to begin with.
        """
        self._make, self._frozen, self._begin = make, frozen, begin
        network = nnx.eval_shape(lambda: make(nnx.Rngs(0)))
        self._graph, _, random, _ = nnx.split(network, nnx.Param, nnx.RngState, ...)
        self._random = nnx.to_pure_dict(random)
        self.shapes = arrays(network)

    def initial(self, seed: int) -> Model:
        """Fresh arrays, or those to begin with."""
        network = self._make(nnx.Rngs(seed))
        if self._begin:
            self._begin(network)
        return arrays(network)

    def train(self, network: nnx.Module) -> None:
        """Sets a network of this kind to training, and what is frozen of it to use."""
        network.train()
        for part in self._frozen:
            module: Any = network
            for name in part.split("."):
                module = getattr(module, name)
            if isinstance(module, nnx.Module):  # a single parameter has no mode
                module.eval()

    def apply(
        self, model: Model, images: jax.Array, *, key: jax.Array | None = None
    ) -> tuple[jax.Array, Any]:
        """Logits for images.

        Args:
          model: the arrays.
          images: floats, 0 to 1.
          key: of dropout and the like; with it the network is in training, without it in use.
        Returns:
          Logits, float32, and the model's new "stats".
        """
        network = self.join(model, key)
        self.train(network) if key is not None else network.eval()
        logits = network(images)
        return logits.astype(jnp.float32), arrays(network)["stats"]

    def join(self, model: Model, key: jax.Array | None = None) -> nnx.Module:
        """The network as a module."""
        leaves, tree = jax.tree.flatten(self._random)
        base = jax.random.key(0) if key is None else key
        random = [
            jax.random.fold_in(base, index)
            if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            else jnp.zeros(leaf.shape, leaf.dtype)
            for index, leaf in enumerate(leaves)
        ]
        return nnx.merge(
            self._graph, model["params"], jax.tree.unflatten(tree, random), model["stats"]
        )


def on(sharding: Sharding, shapes: Any) -> Any:
    """Shapes of arrays that lie on these devices."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes
    )


def scale(images: jax.Array) -> jax.Array:
    """Bytes 0 to 255 as floats 0 to 1, what the networks take."""
    return images.astype(jnp.float32) / 255


def arrays(network: nnx.Module) -> Model:
    """What training changes of a network."""
    _, params, _, stats = nnx.split(network, nnx.Param, nnx.RngState, ...)
    return {"params": nnx.to_pure_dict(params), "stats": nnx.to_pure_dict(stats)}
