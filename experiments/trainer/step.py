"""One step of training: augment, differentiate, update; pure, to be jitted or scanned."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from experiments.augment import augment
from experiments.parallel import constrain
from experiments.trainer.config import Recipe
from experiments.trainer.network import Model, Network, scale


class Metrics(NamedTuple):
    """Of a batch as it was trained on: mean loss in nats, and the share classified correctly."""

    loss: jax.Array
    accuracy: jax.Array


class TrainState(NamedTuple):
    """What changes from step to step.

    Attributes:
      step: how many were done.
      model: arrays of the network.
      average: their moving average; {} where the recipe has none.
      optimizer: state of the optimiser.
      sums: of the metrics since the epoch began.
    """

    step: jax.Array
    model: Model
    average: Any
    optimizer: optax.OptState
    sums: Metrics

    @property
    def tested(self) -> Model:
        """The arrays that are tested and used: the average where there is one."""
        return self.average or self.model


Step = Callable[..., tuple[TrainState, Metrics]]


def initial_state(
    network: Network, optimizer: optax.GradientTransformation, recipe: Recipe, seed: int
) -> TrainState:
    """The state before the first step."""
    model = network.initial(seed)
    return TrainState(
        step=jnp.int32(0),
        model=model,
        average=jax.tree.map(jnp.copy, model) if recipe.ema else {},  # each buffer is given away
        optimizer=optimizer.init(model["params"]),
        sums=no_metrics(),
    )


def no_metrics() -> Metrics:
    """The sums when an epoch begins."""
    return Metrics(jnp.float32(0), jnp.float32(0))


def make_step(
    network: Network,
    optimizer: optax.GradientTransformation,
    recipe: Recipe,
    *,
    classes: int,
    steps_per_epoch: int,
    mesh: Mesh,
    remat: bool = False,
) -> Step:
    """A step: `(state, images, targets, key) -> (state, metrics)`.

    Images are bytes, targets classes `(n,)` or masks `(n, height, width)`, integers; one that is no
    class counts for nothing. All that is random follows from `key` and the number of the step. The
    loss smooths the targets, the metrics do not.

    Args:
      network: the static part.
      optimizer: from optax.
      recipe: of the run.
      classes: logits of the network.
      steps_per_epoch: after which the sums begin anew.
      mesh: over which the batch is spread.
      remat: whether the backward pass computes the whole network anew.
    """

    def loss(params, stats, images, targets, key):
        apply = jax.checkpoint(_forward, static_argnums=0) if remat else _forward
        logits, stats = apply(network, {"params": params, "stats": stats}, images, key)
        logits = to_size(logits, targets, classes)
        smooth = optax.smooth_labels(targets, recipe.label_smoothing)
        valid = targets.sum(-1)  # 0 where a pixel has no class
        right = logits.argmax(-1) == targets.argmax(-1)
        entropies = optax.softmax_cross_entropy(logits, targets)

        def mean(values):
            return (values * valid).sum() / jnp.maximum(valid.sum(), 1)

        metrics = Metrics(mean(entropies), mean(right))
        return mean(optax.softmax_cross_entropy(logits, smooth)), (stats, metrics)

    gradient = jax.grad(loss, has_aux=True)

    def accumulated(model, images, targets, key):
        """The means over parts of the batch; each takes its share of what every device holds."""
        parts = recipe.accumulate
        if parts == 1:
            return gradient(model["params"], model["stats"], images, targets, key)
        split = jax.tree.map(
            lambda a: a.reshape(len(a) // parts, parts, *a.shape[1:]).swapaxes(0, 1),
            (images, targets),
        )

        def part(stats, batch):
            images, targets, key = batch
            images, targets = constrain(mesh, (images, targets))
            grads, (stats, metrics) = gradient(model["params"], stats, images, targets, key)
            return stats, (grads, metrics)

        stats, means = jax.lax.scan(part, model["stats"], (*split, jax.random.split(key, parts)))
        grads, metrics = jax.tree.map(lambda a: a.mean(0), means)
        return grads, (stats, metrics)

    def step(state: TrainState, images, targets, key):
        epoch, since = jnp.divmod(state.step, steps_per_epoch)
        images, targets = constrain(mesh, (images, targets), rows=False)
        augment_key, network_key = jax.random.split(jax.random.fold_in(key, state.step))
        exact = jax.nn.one_hot(targets, classes) if targets.ndim == 1 else targets
        images, exact = augment(recipe.augmentation, augment_key, images, exact, epoch)
        images, exact = constrain(mesh, (images, exact), rows=False)
        images, exact = constrain(mesh, (images, exact))  # from here on each device has its rows
        if jnp.issubdtype(exact.dtype, jnp.integer):
            exact = jax.nn.one_hot(exact, classes)
        grads, (stats, metrics) = accumulated(state.model, scale(images), exact, network_key)
        updates, moments = optimizer.update(grads, state.optimizer, state.model["params"])
        model = {"params": optax.apply_updates(state.model["params"], updates), "stats": stats}
        state = TrainState(
            step=state.step + 1,
            model=model,
            average=_averaged(recipe.ema, state.step, state.average, model),
            optimizer=moments,
            sums=jax.tree.map(lambda old, new: old * (since > 0) + new, state.sums, metrics),
        )
        return state, metrics

    return step


def to_size(logits: jax.Array, targets: jax.Array, classes: int) -> jax.Array:
    """Logits of pixels, interpolated where the network gives fewer of them than the mask has."""
    if logits.ndim == 2 or logits.shape[1:3] == targets.shape[1:3]:
        return logits
    return jax.image.resize(logits, (len(logits), *targets.shape[1:3], classes), "bilinear")


def _forward(network: Network, model: Model, images, key):
    return network.apply(model, images, key=key)


def _averaged(decay: float, step: jax.Array, average: Any, model: Model) -> Any:
    """The moving average, quicker in the first steps: its start is not worth remembering."""
    if not decay:
        return average
    share = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda old, new: share * old + (1 - share) * new, average, model)
