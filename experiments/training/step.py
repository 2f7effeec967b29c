"""One step of training: augment, differentiate, update; pure, to be jitted or scanned."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.extend.core.primitives import conv_general_dilated_p, dot_general_p
from jax.sharding import Mesh

from experiments.training.augment import augment
from experiments.training.finetuning import held
from experiments.training.finite import all_finite, all_usable
from experiments.training.network import Model, Network, scale
from experiments.training.place import constrain
from experiments.training.recipe import Recipe


class Metrics(NamedTuple):
    """Of a batch as it was trained on.

    Attributes:
      loss: mean, in nats.
      accuracy: share classified correctly.
      skipped: 1 where the update was left out because it was not finite, else 0.
    """

    loss: jax.Array
    accuracy: jax.Array
    skipped: jax.Array


class TrainState(NamedTuple):
    """What changes from step to step.

    Attributes:
      step: how many were done.
      model: arrays of the network.
      average: their moving average; {} where the recipe has none.
      optimizer: state of the optimiser.
      sums: of the metrics since the epoch began; steps that were left out count in `skipped` alone.
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
    return state_of(network.initial(seed), optimizer, bool(recipe.ema))


@functools.partial(jax.jit, static_argnames=("optimizer", "averaged"))
def state_of(model: Model, optimizer: optax.GradientTransformation, averaged: bool) -> TrainState:
    """The state before the first step of fresh arrays: one program, whatever the optimiser."""
    return TrainState(
        step=jnp.int32(0),
        model=model,
        average=jax.tree.map(jnp.copy, model) if averaged else {},  # each buffer is given away
        optimizer=optimizer.init(model["params"]),
        sums=no_metrics(),
    )


def no_metrics() -> Metrics:
    """The sums when an epoch begins."""
    return Metrics(jnp.float32(0), jnp.float32(0), jnp.int32(0))


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

    An update is whole or it is not made: where the loss, a gradient or an average is not finite,
    the state stays as it was, as `recipe.nonfinite` says: for this step ("skip"), or for good, the
    number of the step included ("stop").

    Args:
      network: the static part.
      optimizer: from optax.
      recipe: of the run.
      classes: logits of the network.
      steps_per_epoch: after which the sums begin anew.
      mesh: over which the batch is spread.
      remat: whether the backward pass keeps what convolutions and products give and computes the
        rest of the network anew.
    """

    def loss(params, stats, images, targets, key):
        params = held(recipe, params)
        apply = _forward
        if remat:
            apply = jax.checkpoint(_forward, policy=_products, static_argnums=0)
        logits, stats = apply(network, {"params": params, "stats": stats}, images, key)
        smooth, metrics = objective(recipe, logits, targets)
        return smooth, (stats, metrics)

    gradient = jax.value_and_grad(loss, has_aux=True)

    def accumulated(model, images, targets, key):
        """The means over parts of the batch; each takes its share of what every device holds."""
        parts = recipe.accumulate
        if parts == 1:
            return gradient(model["params"], model["stats"], images, targets, key)
        split = jax.tree.map(lambda a: in_parts(a, parts), (images, targets))

        def part(carried, batch):
            stats, sums = carried
            images, targets, key = batch
            images, targets = constrain(mesh, (images, targets))
            (smooth, (stats, metrics)), grads = gradient(
                model["params"], stats, images, targets, key
            )
            return (stats, jax.tree.map(jnp.add, sums, grads)), (smooth, metrics)

        # Summed as they come: stacked, the gradients of all parts would be held at once, and added
        # up among the devices part by part. LeNet-5 in 4 parts, compiled for 8 H100s: 247 kB are
        # exchanged in a step, after the last part, and 0.88 MB computed; stacked, 987 and 1.83.
        begun = model["stats"], jax.tree.map(jnp.zeros_like, model["params"])
        batches = (*split, jax.random.split(key, parts))
        (stats, sums), told = jax.lax.scan(part, begun, batches)
        smooth, metrics = jax.tree.map(lambda a: a.mean(0), told)
        grads = jax.tree.map(lambda total: total / parts, sums)
        return (smooth, (stats, metrics)), grads

    def step(state: TrainState, images, targets, key):
        epoch, since = jnp.divmod(state.step, steps_per_epoch)
        images, exact, network_key = prepare(
            recipe, mesh, classes, images, targets, key, step=state.step, epoch=epoch
        )
        (smooth, (stats, metrics)), grads = accumulated(state.model, images, exact, network_key)
        updates, moments = optimizer.update(grads, state.optimizer, state.model["params"])
        model = {"params": optax.apply_updates(state.model["params"], updates), "stats": stats}
        loss, accuracy = metrics
        metrics = Metrics(loss, accuracy, jnp.int32(0))
        new = TrainState(
            step=state.step + 1,
            model=model,
            average=_averaged(recipe.ema, state.step, state.average, model),
            optimizer=moments,
            sums=_added(state.sums, metrics, since),
        )
        if recipe.nonfinite == "ignore":
            return new, metrics
        # Known before the update: so the update writes over the state it is made from.
        good = all_finite((smooth, loss)) & all_usable((grads, stats))
        old = state._replace(sums=_added(state.sums, no_metrics()._replace(skipped=1), since))
        if recipe.nonfinite == "skip":
            old = old._replace(step=new.step)
        else:
            good &= state.sums.skipped == 0
        state = jax.tree.map(lambda new, old: jnp.where(good, new, old), new, old)
        return state, metrics._replace(skipped=1 - good.astype(jnp.int32))

    return step


def prepare(
    recipe: Recipe, mesh: Mesh, classes: int, images, targets, key, *, step, epoch
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What the network sees in a step: augmented images, probabilities and a key for dropout."""
    images, targets = constrain(mesh, (images, targets), rows=False)
    augment_key, network_key = jax.random.split(jax.random.fold_in(key, step))
    exact = jax.nn.one_hot(targets, classes) if targets.ndim == 1 else targets
    images, exact = augment(recipe.augmentation, augment_key, images, exact, epoch)
    images, exact = constrain(mesh, (images, exact), rows=False)
    images, exact = constrain(mesh, (images, exact))  # from here on each device has its rows
    if jnp.issubdtype(exact.dtype, jnp.integer):
        exact = jax.nn.one_hot(exact, classes)
    return scale(images), exact, network_key


def objective(recipe: Recipe, logits: jax.Array, targets: jax.Array) -> tuple[jax.Array, tuple]:
    """The loss that is differentiated; the loss and the accuracy that are told."""
    logits = to_size(logits, targets, targets.shape[-1])
    smooth = optax.smooth_labels(targets, recipe.label_smoothing)
    valid = targets.sum(-1)  # 0 where a pixel has no class
    right = logits.argmax(-1) == targets.argmax(-1)

    def mean(values):
        return (values * valid).sum() / jnp.maximum(valid.sum(), 1)

    told = mean(optax.softmax_cross_entropy(logits, targets)), mean(right)
    return mean(optax.softmax_cross_entropy(logits, smooth)), told


def in_parts(array: jax.Array, parts: int) -> jax.Array:
    """`(parts, n / parts, ...)`: every part has rows of each device."""
    return array.reshape(len(array) // parts, parts, *array.shape[1:]).swapaxes(0, 1)


def to_size(logits: jax.Array, targets: jax.Array, classes: int) -> jax.Array:
    """Logits of pixels, interpolated where the network gives fewer of them than the mask has."""
    if logits.ndim == 2 or logits.shape[1:3] == targets.shape[1:3]:
        return logits
    return jax.image.resize(logits, (len(logits), *targets.shape[1:3], classes), "bilinear")


def _products(primitive, *_, **__) -> bool:
    """Whether an operation's outputs are kept where the rest is computed anew.

    Were they computed anew too, all would be held at once in the end, as without. AlexNet on 512
    images, bfloat16, compiled for an H100, ms and GB of computed values: 4.19 and 1.048 with all
    kept, 5.67 and 1.040 with nothing, 4.71 and 1.000 so.
    """
    return primitive in (conv_general_dilated_p, dot_general_p)


def _forward(network: Network, model: Model, images, key):
    return network.apply(model, images, key=key)


def _added(sums: Metrics, metrics: Metrics, since: jax.Array) -> Metrics:
    """The sums of an epoch with one more step, the first where `since` is 0."""
    return jax.tree.map(lambda old, new: old * (since > 0) + new, sums, metrics)


def _averaged(decay: float, step: jax.Array, average: Any, model: Model) -> Any:
    """The moving average, quicker in the first steps: its start is not worth remembering."""
    if not decay:
        return average
    share = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda old, new: share * old + (1 - share) * new, average, model)
