"""Gradients in which each ReLU follows another rule, by automatic differentiation alone.

The rules depend on the sign of the gradient that arrives at a ReLU, so that no linear tangent has
them as its transpose. Once the sign is known, the rule is a fixed mask. The masks are found one by
one, from the last ReLU to the first: the gradient that arrives at a ReLU depends on the masks
behind it alone.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxcnn._modules.still import evaluating, pure
from jaxcnn.nn import Activation

Gate = Callable[[jax.Array, jax.Array], jax.Array]


def gated_gradient(model: nnx.Module, image: jax.Array, target: int, gate: Gate) -> jax.Array:
    """The gradient of a logit by the image, where ReLUs let through what `gate` says.

    Args:
      model: from images to logits; its ReLUs are `nn.Activation("relu")`. A copy of it runs, in
        evaluation.
      image: `(height, width, channels)`.
      target: the class.
      gate: from what goes into a ReLU and the gradient that arrives at it to where it is open.
    Raises:
      TypeError: the model is no module.
      ValueError: it has no ReLU of that kind, or one inside a transformation.
    """
    if not isinstance(model, nnx.Module):
        raise TypeError(
            f"`model` must be a flax.nnx.Module, whose ReLUs can be exchanged; got "
            f"{type(model).__name__}"
        )
    copy = evaluating(model)
    relus = [
        module
        for _, module in nnx.iter_graph(copy)
        if isinstance(module, Activation) and module.function in ("relu", nnx.relu)
    ]
    met: list[jax.Array] = []
    masks: list[Any] = []
    offsets: list[Any] = []

    def relu(entering: jax.Array) -> jax.Array:
        number = len(met)
        met.append(entering)
        if number >= len(masks):
            return nnx.relu(entering)
        return _relu(entering, masks[number], offsets[number])

    for module in relus:
        module.function = relu
    network = pure(copy)

    def run(added: list[Any], x: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        met.clear()
        offsets[:] = added
        logits = network(x[None])
        return logit(logits, target), list(met)

    _, entering = run([], image)
    if not entering:
        raise ValueError(
            f"`model` must have a ReLU as `nn.Activation('relu')`; {type(model).__name__} met none"
        )
    try:
        masks.extend(_passes(value) for value in entering)  # the caller may be under jit
    except jax.errors.UnexpectedTracerError:
        raise ValueError(
            f"`model` must call its ReLUs outside `nnx.remat`, `nnx.jit`, loops and "
            f"branches of its own; {type(model).__name__} has one inside"
        ) from None
    zeros = [np.zeros(value.shape, value.dtype) for value in entering]
    for number in reversed(range(len(entering))):
        # By what is added to the output of the ReLU: the gradient that arrives there.
        arrived = jax.grad(run, has_aux=True)(zeros, image)[0][number]
        masks[number] = gate(entering[number], arrived).astype(arrived.dtype)
    return jax.grad(lambda x: run(zeros, x)[0])(image)


@jax.jit
def logit(logits: jax.Array, target: int) -> jax.Array:
    """That of one class, added up over the images."""
    return logits[:, target].sum()


@jax.jit
def _passes(entering: jax.Array) -> jax.Array:
    """1 where a ReLU lets through, else 0."""
    return (entering > 0).astype(entering.dtype)


@jax.jit
def _relu(entering: jax.Array, mask: jax.Array, offset: jax.Array) -> jax.Array:
    """A ReLU whose gradient is let through where the mask is 1; `offset` is added to it."""
    fixed = jax.lax.stop_gradient
    return fixed(nnx.relu(entering)) + mask * (entering - fixed(entering)) + offset
