"""Finds where a step of training first became NaN or infinite.

The step that trains is compiled as a whole. It tells only that something in it was not finite, and
leaves the state as it was. `Origin` computes the step again, and looks at what every module takes
and gives, and at the gradients by both, in the order in which a step computes them. The first that
is not finite is where it began.

A gradient by a value inside the network is a gradient by zeros that are added to the value.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh

from experiments.training.finetuning import held
from experiments.training.finite import all_finite, all_usable
from experiments.training.mesh import replicated, split
from experiments.training.network import Model, Network, arrays
from experiments.training.place import constrain
from experiments.training.recipe import Recipe
from experiments.training.step import (
    TrainState,
    in_parts,
    objective,
    prepare,
)


class Origin:
    """Finds where a step went wrong; compiled at the first use."""

    def __init__(
        self,
        network: Network,
        optimizer: optax.GradientTransformation,
        recipe: Recipe,
        *,
        classes: int,
        steps_per_epoch: int,
        mesh: Mesh,
    ):
        """As `make_step`."""
        self._network, self._optimizer, self._recipe, self._mesh = network, optimizer, recipe, mesh
        whole = replicated(mesh)

        def prepared(step, images, targets, key):
            return prepare(
                recipe, mesh, classes, images, targets, key,
                step=step, epoch=step // steps_per_epoch,
            )  # fmt: skip

        self._prepare = jax.jit(prepared)
        self._look = jax.jit(self._examined, out_shardings=whole)
        self._update = jax.jit(self._updated, out_shardings=whole)
        self._calls: list[tuple[str, str]] = []  # "takes" or "gives", and the layer

    def __call__(self, state: TrainState, images, targets, key: jax.Array) -> str:
        """What was not finite first, in words.

        Args:
          state: before the step.
          images: of the step.
          targets: of the step.
          key: of the step.
        """
        parts, size = self._recipe.accumulate, len(images) // self._recipe.accumulate
        with split(self._mesh):
            images, targets, key = self._prepare(state.step, images, targets, key)
            keys = [key] if parts == 1 else jax.random.split(key, parts)
            stats, grads = state.model["stats"], []
            for part in range(parts):
                batch = tuple(in_parts(a, parts)[part] for a in (images, targets))
                model = {"params": state.model["params"], "stats": stats}
                seen, stats, gradient = self._look(model, *batch, keys[part])
                found = self._first(jax.device_get(seen), part, parts, size)
                if found:
                    return found
                grads.append(gradient)
            mean = jax.tree.map(lambda *leaves: sum(leaves) / parts, *grads)
            for name, leaf in _named(self._update(mean, state.optimizer, state.model["params"])):
                if not leaf:
                    return f"the update of {name} by --optimizer {self._recipe.optimizer}"
        return "the whole step at once, and nothing when it was computed layer by layer"

    def _first(self, seen: dict[str, Any], part: int, parts: int, size: int) -> str:
        """The name of the first that is not finite; "" where all are."""
        for index, finite in enumerate(seen["images"]):
            if not finite:
                return f"image {index * parts + part + 1} of the {size * parts} of the batch"
        for name, finite in _named(seen["model"]):
            if not finite:
                return f"{name}, before the step"
        for (event, layer), finite in zip(self._calls, seen["values"], strict=True):
            if not finite:
                return f"the {'output' if event == 'gives' else 'input'} of {layer}"
        if not seen["loss"]:
            return "the loss of finite outputs"
        for (event, layer), finite in reversed([*zip(self._calls, seen["back"], strict=True)]):
            if not finite and event == "gives":
                return f"the gradient by the output of {layer}"
            if not finite:
                return f"the backward pass of {layer}"
        for name, finite in _named(seen["gradients"]):
            if not finite:
                return f"the gradient by {name}"
        return ""

    def _examined(self, model: Model, images, targets, key) -> tuple[dict, Any, Any]:
        """What is finite in a forward and a backward pass, the new stats and the gradients."""
        images, targets = constrain(self._mesh, (images, targets))

        def run(params, zeros):
            observer = _Observer(zeros)
            params = held(self._recipe, params)
            module = observer.over(self._network.join({**model, "params": params}, key))
            self._network.train(module)
            smooth, told = objective(self._recipe, module(images).astype(jnp.float32), targets)
            return smooth, (observer, arrays(module)["stats"], all_finite((smooth, told)))

        def shapes(params):
            observer = run(params, None)[1][0]
            self._calls = observer.calls
            return observer.values

        zeros = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(shapes, model["params"])
        )

        def differentiated(params, zeros):
            smooth, (observer, stats, finite) = run(params, zeros)
            return smooth, (jnp.stack(observer.finite), stats, finite)

        (grads, back), (values, stats, loss) = jax.grad(
            differentiated, argnums=(0, 1), has_aux=True
        )(model["params"], zeros)
        inside = tuple(range(1, images.ndim))
        seen = {
            "images": jnp.isfinite(images).all(inside),
            "model": jax.tree.map(all_finite, model),
            "values": values,
            "loss": loss,
            "back": jnp.stack([all_finite(leaves) for leaves in back]),
            "gradients": jax.tree.map(all_usable, {"params": grads}),
        }
        return seen, stats, grads

    def _updated(self, grads, moments, params) -> dict[str, Any]:
        updates, _ = self._optimizer.update(grads, moments, params)
        return {"params": jax.tree.map(all_finite, optax.apply_updates(params, updates))}


class _Observer:
    """Sees what every module of a network takes and gives."""

    def __init__(self, zeros: list | None):
        """Adds `zeros` to the values, one after the other; None adds nothing."""
        self._zeros = None if zeros is None else iter(zeros)
        self.calls: list[tuple[str, str]] = []
        self.values: list[list[jax.Array]] = []
        self.finite: list[jax.Array] = []

    def over(self, network: nnx.Module) -> nnx.Module:
        """The same network, in which every module tells this observer of its calls.

        Activations are kept, not computed again: what runs inside `remat` cannot be observed.
        """
        for path, module in list(nnx.iter_modules(network)):
            if getattr(module, "remat", False):
                module.remat = False
            if callable(module):
                module.__class__ = self._observed(type(module), path)
        return network

    def _observed(self, kind: Any, path: tuple[Any, ...]) -> Any:
        name = f"the layer `{'.'.join(map(str, path))}`" if path else "the network"
        layer = f"{name} ({kind.__name__})"

        def __call__(module: Any, *args: Any, **options: Any) -> Any:
            args = self._see("takes", layer, args)
            return self._see("gives", layer, kind.__call__(module, *args, **options))

        return type(kind.__name__, (kind,), {"__call__": __call__})

    def _see(self, event: str, layer: str, tree: Any) -> Any:
        leaves, structure = jax.tree.flatten(tree)
        which = [index for index, leaf in enumerate(leaves) if _is_float(leaf)]
        if not which:
            return tree
        self.calls.append((event, layer))
        self.values.append([leaves[index] for index in which])
        self.finite.append(all_finite(self.values[-1]))
        if self._zeros is not None:
            for index, zero in zip(which, next(self._zeros), strict=True):
                leaves[index] += zero
        return jax.tree.unflatten(structure, leaves)


def _is_float(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.inexact)


def _named(tree: Any) -> list[tuple[str, Any]]:
    """The leaves of a tree by what they are: "the parameter `conv.kernel`"."""
    kinds = {"params": "the parameter", "stats": "the average"}
    named = []
    for path, leaf in jax.tree.leaves_with_path(tree):
        kind, *inside = (str(getattr(key, "key", key)) for key in path)
        named.append((f"{kinds[kind]} `{'.'.join(inside)}`", leaf))
    return named
