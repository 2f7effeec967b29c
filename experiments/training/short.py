"""Short trainings in one `lax.scan`, watched at every step; for what needs no run to be resumed."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.training.network import Network, arrays, scale
from jaxcnn import functional

Loss = Callable[[nnx.Module, jax.Array, jax.Array], jax.Array]


def cross_entropy(network: nnx.Module, images: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean over the batch, in nats."""
    logits: Any = network(images)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def learn(
    make: Callable[[nnx.Rngs], nnx.Module],
    images: np.ndarray,
    targets: np.ndarray,
    optimizer: optax.GradientTransformation,
    *,
    steps: int,
    batch_size: int,
    seed: int = 0,
    loss: Loss = cross_entropy,
    watch: Callable[[nnx.Module, jax.Array], Any] = lambda network, images: (),
) -> tuple[nnx.Module, np.ndarray, Any]:
    """Trains a fresh network on batches drawn at random.

    Args:
      make: makes the network.
      images: bytes, `(n, height, width, channels)`; the network sees floats, 0 to 1.
      targets: `(n, ...)`, what `loss` takes.
      optimizer: with its schedule.
      steps: how many.
      batch_size: images in each.
      seed: of the parameters and the batches.
      loss: of the network in training.
      watch: `(network, images)` before each step to arrays that are kept.
    Returns:
      The trained network, to be used; the loss of each step; what `watch` gave, stacked.
    """
    network = Network(make)

    def step(data, state, chosen):
        model, moments = state
        batch, wanted = scale(data[0][chosen]), data[1][chosen]

        def value(params):
            module = network.join({**model, "params": params})
            module.train()
            watched = watch(module, batch)
            return loss(module, batch, wanted), (watched, arrays(module)["stats"])

        (cost, (watched, stats)), gradient = jax.value_and_grad(value, has_aux=True)(
            model["params"]
        )
        updates, moments = optimizer.update(gradient, moments, model["params"])
        params = optax.apply_updates(model["params"], updates)
        return ({"params": params, "stats": stats}, moments), (cost, watched)

    @jax.jit
    def run(model, *data):
        rows = jax.random.randint(jax.random.key(seed + 1), (steps, batch_size), 0, len(images))
        state = model, optimizer.init(model["params"])
        return jax.lax.scan(functools.partial(step, data), state, rows)

    (model, _), (losses, watched) = run(network.initial(seed), images, targets)
    trained = network.join(model)
    trained.eval()
    return trained, np.asarray(losses), jax.tree.map(np.asarray, watched)


def accuracy(network: nnx.Module, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of the images that it classifies correctly."""
    return float((np.asarray(_classified(network, images)) == labels).mean())


@nnx.jit
def _classified(network: nnx.Module, images: jax.Array) -> jax.Array:
    logits: Any = network(scale(images))
    return logits.argmax(-1)


def edges(images: jax.Array, kernels: np.ndarray) -> jax.Array:
    """What kernels `(n, size, size)` find in images `(..., height, width, 1)`."""
    return functional.conv(
        images, jnp.asarray(kernels, images.dtype).transpose(1, 2, 0)[:, :, None]
    )
