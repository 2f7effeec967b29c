"""Training that begins from weights: parts that stay as they are, a head with a rate of its own.

A part that is frozen runs as it does in use: its batch norms normalise by the averages that came
with the weights and leave these alone, its dropouts drop nothing. Its parameters get no gradient
and do not decay.
"""

from typing import Any

import jax
from flax import nnx

from experiments.commands.command import UserError, require
from experiments.training.recipe import Recipe
from jaxcnn import models

HEAD = "classifier"
"""The part of every network that has as many outputs as there are classes."""


def load(network: nnx.Module, path: str) -> models.TorchReport:
    """Gives a network the weights of a file, all but a head of other classes.

    Args:
      network: with fresh parameters.
      path: of a safetensors file, under torchvision's, timm's or the network's own names.
    Returns:
      What was taken; the head may be missing, and nothing else.
    Raises:
      UserError: there is no such file, or it is of another network.
    """
    try:
        report = models.load_torch(network, path, strict=False)
    except (ImportError, OSError, TypeError, ValueError) as error:
        raise UserError(f"--weights: {error}") from None
    lost = [name for name in report.missing if not within(name, [HEAD])]
    if lost:
        why = [f"; {name} {why}" for name, why in report.skipped if "in place of" in why]
        raise UserError(
            f"--weights {path} has nothing for {len(lost)} parameters of {type(network).__name__} "
            f"outside its {HEAD}, {lost[0]} among them{''.join(why[:1])}; take weights of the same "
            "network, for images with as many channels"
        )
    return report


def told(report: models.TorchReport, path: str) -> str:
    """What was taken, in a line."""
    fresh = ", ".join(report.missing) or "nothing"
    return f"weights: {len(report.taken)} arrays of {path}; fresh: {fresh}"


def parts(recipe: Recipe) -> tuple[str, ...]:
    """The paths of what is frozen."""
    return tuple(name.strip() for name in recipe.freeze.split(",") if name.strip())


def check(recipe: Recipe, params: Any) -> None:
    """Refuses parts that there are not, and a training of nothing.

    Raises:
      UserError: so.
    """
    names = [path_of(path) for path, _ in jax.tree.leaves_with_path(params)]
    for part in parts(recipe):
        there = any(within(name, [part]) for name in names)
        require(there, "freeze", part, f"must be one of {', '.join(params)}, or a part of one")
    left = [name for name in names if not within(name, parts(recipe))]
    require(bool(left), "freeze", recipe.freeze, "leaves nothing to train")
    if recipe.head_learning_rate is not None:
        head = any(within(name, [HEAD]) for name in left)
        rate = recipe.head_learning_rate
        require(head, "head_learning_rate", rate, f"needs a {HEAD} that is not frozen")


def kinds(recipe: Recipe, params: Any) -> Any:
    """ "frozen", "head" or "rest" for every parameter."""

    def kind(path, _) -> str:
        name = path_of(path)
        if within(name, parts(recipe)):
            return "frozen"
        return "head" if within(name, [HEAD]) else "rest"

    return jax.tree.map_with_path(kind, params)


def held(recipe: Recipe, params: Any) -> Any:
    """The parameters, those that are frozen without a gradient: none is computed for them."""
    if not parts(recipe):
        return params
    return jax.tree.map(
        lambda kind, leaf: jax.lax.stop_gradient(leaf) if kind == "frozen" else leaf,
        kinds(recipe, params),
        params,
    )


def path_of(path: Any) -> str:
    """A path of a tree of dicts with dots."""
    return ".".join(str(entry.key) for entry in path)


def within(name: str, beginnings: Any) -> bool:
    """Whether a path is one of `beginnings`, or lies below one."""
    return any(f"{name}.".startswith(f"{each}.") for each in beginnings)
