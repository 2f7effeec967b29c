"""Short trainings by `lax.scan`, watched at every step; for what needs no run to be resumed."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.commands.phases import phase
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
    title: str = "",
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
      title: of the network, said while it is trained.
      loss: of the network in training.
      watch: `(network, images)` before each step to arrays that are kept.
    Returns:
      The trained network, to be used; the loss of each step; what `watch` gave, stacked.
    """
    title = f": {title}" if title else ""
    with phase("build", f"building the network{title}"):
        network = Network(make)
        model = network.initial(seed)

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
    def run(state, rows, *data):
        return jax.lax.scan(functools.partial(step, data), state, rows)

    @jax.jit
    def begin(model):
        rows = jax.random.randint(jax.random.key(seed + 1), (steps, batch_size), 0, len(images))
        return (model, optimizer.init(model["params"])), rows.reshape(_parts(steps), -1, batch_size)

    with phase("compile", f"compiling{title}"):
        state, rows = begin(model)
        data = jax.device_put((images, targets))
        compiled = run.lower(state, rows[0], *data).compile()
    found, size = [], rows.shape[1]
    with phase("training", f"training{title}, {steps:,} steps", total=steps) as shown:
        for number, part in enumerate(rows, 1):
            state, new = compiled(state, part, *data)
            found.append(jax.device_get(new))
            shown.move(number * size, f"training{title}, {number * size:,} of {steps:,} steps")
    model, _ = state
    losses, watched = jax.tree.map(lambda *parts: np.concatenate(parts), *found)
    trained = network.join(model)
    trained.eval()
    return trained, losses, watched


def _parts(steps: int) -> int:
    """Of equal length, between which is told how far it is: 10 or somewhat more."""
    return next(parts for parts in range(min(10, steps), steps + 1) if steps % parts == 0)


def accuracy(network: nnx.Module, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of the images that it classifies correctly."""
    with phase("test", f"testing with {len(labels):,} images"):
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
