"""Optimisers and schedules by name, all of them optax's."""

import functools
from typing import Any

import jax
import optax
from optax import contrib

from experiments.training.finetuning import kinds
from experiments.training.recipe import Recipe


def make_schedule(recipe: Recipe, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate of each step.

    "one-cycle" rises to the peak in the first 30 % of the steps and falls to nearly 0, by cosines;
    "cosine" falls from the peak to 0; "constant" stays. The latter two first rise from 0 in a
    straight line for `recipe.warmup` epochs.

    References:
      L. N. Smith and N. Topin, Super-convergence, 2018.
      I. Loshchilov and F. Hutter, SGDR: stochastic gradient descent with warm restarts, 2017.
    """
    steps, peak = recipe.epochs * steps_per_epoch, recipe.learning_rate
    if recipe.schedule == "one-cycle":
        return optax.cosine_onecycle_schedule(steps, peak)
    rise = round(recipe.warmup * steps_per_epoch)
    after = optax.constant_schedule(peak)
    if recipe.schedule == "cosine":
        after = optax.cosine_decay_schedule(peak, max(steps - rise, 1))
    return optax.join_schedules([optax.linear_schedule(0.0, peak, max(rise, 1)), after], [rise])


def make_optimizer(recipe: Recipe, schedule: optax.Schedule) -> optax.GradientTransformation:
    """The optimiser of a recipe; weight decay leaves out biases and the parameters of norms.

    What the recipe freezes stays as it is, and the head has a rate of its own where it says so.

    References:
      I. Loshchilov and F. Hutter, Decoupled weight decay regularization, 2019.
      K. Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024.
    """
    if recipe.freeze or recipe.head_learning_rate is not None:
        ratio = (recipe.head_learning_rate or recipe.learning_rate) / recipe.learning_rate
        return optax.partition(
            {
                "rest": _optimizer(recipe, schedule),
                "head": _optimizer(recipe, lambda count: ratio * schedule(count)),
                "frozen": optax.set_to_zero(),
            },
            functools.partial(kinds, recipe),
        )
    return _optimizer(recipe, schedule)


def _optimizer(recipe: Recipe, schedule: optax.Schedule) -> optax.GradientTransformation:
    """The same rule for all parameters."""
    decay, momentum = recipe.weight_decay, recipe.momentum
    if recipe.optimizer == "sgd":
        return optax.chain(
            optax.add_decayed_weights(decay, mask=kernels),
            optax.sgd(schedule, momentum=momentum, nesterov=True),
        )
    if recipe.optimizer == "muon":
        return contrib.muon(
            schedule,
            beta=momentum,
            weight_decay=decay,
            weight_decay_mask=kernels,
            muon_weight_dimension_numbers=_matrices,
        )
    return optax.adamw(schedule, weight_decay=decay, mask=kernels)


def kernels(parameters: Any) -> Any:
    """True for every parameter of two or more axes that is no bias: what weight decay is for."""

    def decays(path, leaf) -> bool:
        return leaf.ndim >= 2 and path[-1].key not in ("bias", "scale")

    return jax.tree.map_with_path(decays, parameters)


def _matrices(parameters: Any) -> Any:
    """Kernels as matrices from all that an output sees to the outputs; None: not for Muon."""

    def dimensions(is_kernel: bool, leaf):
        if not is_kernel:
            return None
        *inside, outside = range(leaf.ndim)
        return contrib.MuonDimensionNumbers(tuple(inside), outside)

    return jax.tree.map(dimensions, kernels(parameters), parameters)
