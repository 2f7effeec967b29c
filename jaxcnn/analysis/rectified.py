"""Gradients in which each ReLU of a network follows another rule.

No such rule is the derivative of anything, so that it can't be had from automatic differentiation:
the Jaxpr is run once more, and gradients are handed back equation by equation, by JAX's own rules
but at maxima with 0.
"""

from typing import Any

import jax
from jaxtyping import ArrayLike

from jaxcnn._checks.naming import named
from jaxcnn._modules.rectify import Gate, Hidden, pull_back
from jaxcnn.analysis._activations import Look
from jaxcnn.analysis._targets import chosen, images_of
from jaxcnn.analysis.attribution import Images, Model


@named
def guided_backpropagation(model: Model, inputs: ArrayLike, *, target: Any = None) -> Images:
    """The gradient that is cut at every ReLU where it is negative or the ReLU is shut.

        let through: gradient * (x > 0) * (gradient > 0)

    What is left has only ever raised what raised the output. A ReLU is a maximum with 0, as
    `nnx.relu`, `jax.nn.relu6`, `jnp.maximum(x, 0)` and `jnp.clip(x, 0)` are, in any network; not
    what selects by a comparison, as `jnp.where(x > 0, x, 0)` does.

    Args:
      model: as in `saliency`.
      inputs: as in `saliency`.
      target: as in `saliency`.
    Returns:
      What is let through, in the inputs' shape, signed.
    Raises:
      ValueError: as `saliency`, or the model has no ReLU, or one inside a loop or a branch.
      TypeError: the model can't be called or has no values.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import analysis
      >>> two = jnp.array([[1.0, -1.0]])
      >>> net = lambda x: nnx.relu(x.reshape(len(x), 1) @ two) @ two.T
      >>> [
      ...     f(net, 3 * jnp.ones((1, 1, 1)), target=0).item()
      ...     for f in (analysis.saliency, analysis.guided_backpropagation, analysis.deconvnet)
      ... ]
      [1.0, 1.0, 1.0]

    References:
      J. T. Springenberg et al., Striving for simplicity: the all convolutional net, 2015.
    """
    return _gated(model, inputs, target, lambda entering, arrived: (entering > 0) & (arrived > 0))


@named
def deconvnet(model: Model, inputs: ArrayLike, *, target: Any = None) -> Images:
    """What the network run backwards projects onto the image.

        let through at a ReLU: gradient * (gradient > 0)

    whatever went in there; convolutions are transposed, and a max pool's maxima go back to where
    they came from, as they do in backpropagation.

    Args:
      model: as in `guided_backpropagation`.
      inputs: as in `saliency`.
      target: as in `saliency`.
    Returns:
      The projection, in the inputs' shape, signed.
    Raises:
      ValueError: as `guided_backpropagation`.
      TypeError: as `guided_backpropagation`.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import analysis
      >>> net = lambda x: nnx.relu(x.reshape(len(x), -1))
      >>> analysis.deconvnet(net, -jnp.ones((1, 1, 1)), target=0).item()  # through a shut ReLU
      1.0

    References:
      M. D. Zeiler and R. Fergus, Visualizing and understanding convolutional networks, 2014.
    """
    return _gated(model, inputs, target, lambda entering, arrived: arrived > 0)


def _gated(model: Model, inputs: ArrayLike, target: Any, gate: Gate) -> Images:
    look = Look(model, images_of(inputs))
    recording = look.recording
    moving = [place == recording.first for place in range(len(look.values))]
    met = 0

    tree = jax.tree.structure(recording.outputs)

    @jax.jit
    def gradient(values: list[Any]) -> Any:
        nonlocal met
        leaves, pull, met = pull_back(recording.jaxpr, values, moving, gate)

        def number(given: list[Any]) -> Any:
            return chosen(jax.tree.unflatten(tree, given), target).sum()

        arrived = jax.grad(number, allow_int=True)(leaves)
        return pull(arrived)[recording.first]

    try:
        result = gradient(look.values)
    except Hidden:
        raise ValueError(
            "`model` must call its ReLUs outside loops and branches; it has one inside"
        ) from None
    if not met:
        raise ValueError("`model` must have a ReLU, a maximum with 0; it met none")
    return result
