"""Training of a classifier on arrays that live on the device: an epoch is one jitted program.

A model is split into its graph (static) and its parameters (a nested dict of arrays), so that all
that changes in training is one pytree, `TrainState`, which is also what a checkpoint holds.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx


class TrainState(NamedTuple):
    """What changes from step to step: nested dicts of arrays."""

    model: dict
    optimizer: optax.OptState


class Metrics(NamedTuple):
    """Means over images: cross-entropy in nats, and the share classified correctly, 0 to 1."""

    loss: jax.Array
    accuracy: jax.Array


def split_model(model: nnx.Module) -> tuple[nnx.GraphDef, dict]:
    """The static graph of a model and its parameters as nested dicts; `nnx.merge` joins them."""
    graph, state = nnx.split(model)
    return graph, nnx.to_pure_dict(state)


def scale(images: jax.Array) -> jax.Array:
    """Bytes 0 to 255 as floats 0 to 1, what the networks take."""
    return images.astype(jnp.float32) / 255


def measure(logits: jax.Array, labels: jax.Array) -> Metrics:
    """How well `(n, classes)` logits fit `(n,)` labels."""
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    return Metrics(loss, (logits.argmax(-1) == labels).mean(dtype=logits.dtype))


def random_shift(key: jax.Array, images: jax.Array, pixels: int) -> jax.Array:
    """Moves each image by its own whole number of pixels, -`pixels` to `pixels`, on both axes.

    Zeros come in from the border.

    Args:
      key: PRNG key.
      images: `(n, height, width, channels)`.
      pixels: largest shift; 0 leaves the images as they are.
    Returns:
      As `images`.
    """
    if pixels == 0:
        return images
    n, *shape = images.shape
    padded = jnp.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))
    corners = jax.random.randint(key, (n, 2), 0, 2 * pixels + 1)
    return jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (*at, 0), shape))(
        padded, corners
    )


def one_cycle(steps: int, peak: float) -> optax.Schedule:
    """Learning rate up to `peak` in the first 30 % of the steps, then down to nearly 0, by cosines.

    References: L. N. Smith and N. Topin, Super-convergence, 2018.
    """
    return optax.cosine_onecycle_schedule(steps, peak)


def make_epoch(
    graph: nnx.GraphDef,
    optimizer: optax.GradientTransformation,
    *,
    batch_size: int,
    shift: int,
    label_smoothing: float,
) -> Callable[[TrainState, jax.Array, jax.Array, jax.Array], tuple[TrainState, Metrics]]:
    """An epoch of training, to be jitted: `(state, images, labels, key) -> (state, metrics)`.

    The images are visited in an order drawn from `key`, each at most once; those that do not fill a
    batch are left out, others every time. The metrics are those of the batches as they were trained
    on: augmented, before the step, and against the exact labels though the loss smooths them.
    """

    def loss(model: dict, images, labels):
        logits = nnx.merge(graph, model)(scale(images))
        exact = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        smooth = optax.smooth_labels(exact, label_smoothing)
        return optax.softmax_cross_entropy(logits, smooth).mean(), measure(logits, labels)

    def epoch(state: TrainState, images, labels, key):
        steps = len(images) // batch_size
        order_key, shift_key = jax.random.split(key)
        order = jax.random.permutation(order_key, len(images))[: steps * batch_size]

        def step(state: TrainState, batch):
            rows, key = batch
            shifted = random_shift(key, images[rows], shift)
            gradient, metrics = jax.grad(loss, has_aux=True)(state.model, shifted, labels[rows])
            updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.model)
            model = optax.apply_updates(state.model, updates)
            return TrainState(model, optimizer_state), metrics

        batches = (order.reshape(steps, batch_size), jax.random.split(shift_key, steps))
        # Not unrolled: by 4 it took the same time (1.0 s of CPU an epoch) and longer to compile.
        state, metrics = jax.lax.scan(step, state, batches)
        return state, jax.tree.map(jnp.mean, metrics)

    return epoch


def make_evaluate(
    graph: nnx.GraphDef,
) -> Callable[[dict, jax.Array, jax.Array], tuple[Metrics, jax.Array]]:
    """The test, to be jitted: `(model, images, labels) -> (metrics, probabilities)`."""

    def evaluate(model: dict, images, labels):
        logits = nnx.merge(graph, model)(scale(images))
        return measure(logits, labels), jax.nn.softmax(logits)

    return evaluate
