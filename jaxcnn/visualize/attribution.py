"""Draws which pixels move the answer of a network: the attributions of `jaxcnn.analysis`.

A module runs as a copy in evaluation, whatever mode it is in; the module itself stays as it is. Any
other function is called as it is, and refused where it would change a module that it holds.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jaxtyping import ArrayLike
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcnn import analysis
from jaxcnn._checks.naming import named
from jaxcnn.visualize._attributed import draw

Model = Callable[[jax.Array], Any]


@named
def saliency(
    model: Model,
    image: ArrayLike,
    *,
    target: Any = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws how strongly each pixel moves an output: max over channels of abs(d y / d pixel).

    Args:
      model: any module or function of images `(n, height, width, channels)`.
      image: `(height, width, channels)`, scaled as the model takes it, or a batch of them; its
        outline is drawn.
      target: what y is, as in `analysis.saliency`; None for the class that the model takes the
        image for.
      title: heading; None for the method, and the class and its probability.
      ax: axes to draw one image on; a new figure is made when None, a column an image.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: the image has another rank, there is no such class, or what the model gives has
        none.
      TypeError: the model can't be called, or is a function that changes a module which it holds.

    Example:
      >>> import jax.numpy as jnp
      >>> model = jax.jit(lambda x: x.reshape(len(x), -1)[:, :3])
      >>> figure = saliency(model, jnp.ones((4, 4, 1)), target=2)
      >>> figure.axes[0].get_title()
      'Saliency for class 2 (33 %)'
    """
    how = functools.partial(analysis.saliency, model)
    return draw("Saliency", how, (model, image, target, title, ax), "abs(d output / d pixel)")


@named
def smooth_grad(
    model: Model,
    image: ArrayLike,
    *,
    target: Any = None,
    samples: int = 32,
    noise: float = 0.15,
    seed: int = 0,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws the saliency averaged over noisy copies of the image: `analysis.smooth_grad`.

    Args:
      model: as in `saliency`.
      image: as in `saliency`.
      target: as in `saliency`.
      samples: noisy copies.
      noise: standard deviation, as a share of the image's range.
      seed: of the noise.
      title: as in `saliency`.
      ax: as in `saliency`.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: as `saliency`, or `samples` or `noise` is out of range.
      TypeError: as `saliency`, or `noise` is no number.

    Example:
      >>> import jax.numpy as jnp
      >>> model = jax.jit(lambda x: x.reshape(len(x), -1)[:, :3])
      >>> smooth_grad(model, jnp.ones((4, 4, 1)), target=2).axes[0].get_title()
      'SmoothGrad for class 2 (33 %)'
    """
    how = functools.partial(analysis.smooth_grad, model, samples=samples, noise=noise, seed=seed)
    label = f"abs of the mean gradient of {samples}"
    return draw("SmoothGrad", how, (model, image, target, title, ax), label)


@named
def integrated_gradients(
    model: Model,
    image: ArrayLike,
    *,
    target: Any = None,
    baseline: ArrayLike = 0.0,
    steps: int = 32,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws each pixel's share of the output, its channels added up, positive and negative.

    Args:
      model: as in `saliency`.
      image: as in `saliency`.
      target: as in `saliency`.
      baseline: as in `analysis.integrated_gradients`.
      steps: as in `analysis.integrated_gradients`.
      title: as in `saliency`.
      ax: as in `saliency`.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: as `saliency`, or an option makes no sense.
      TypeError: as `saliency`.

    Example:
      >>> import jax.numpy as jnp
      >>> model = jax.jit(lambda x: x.reshape(len(x), -1)[:, :3])
      >>> figure = integrated_gradients(model, jnp.ones((4, 4, 1)), target=2)
      >>> figure.axes[0].images[0].get_array()[0].tolist()
      [0.0, 0.0, 1.0, 0.0]
    """
    how = functools.partial(analysis.integrated_gradients, model, baseline=baseline, steps=steps)
    asked = model, image, target, title, ax
    return draw("Integrated gradients", how, asked, "share of the output", channels="sum")


@named
def guided_backpropagation(
    model: Model,
    image: ArrayLike,
    *,
    target: Any = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws the gradient that is cut at every ReLU where it is negative or the ReLU is shut.

    Of the channels of a pixel the strongest is shown, with its sign.

    Args:
      model: as in `saliency`; with ReLUs, outside loops and branches.
      image: as in `saliency`.
      target: as in `saliency`.
      title: as in `saliency`.
      ax: as in `saliency`.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: as `saliency`, or the model has no such ReLU.
      TypeError: as `saliency`.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import PatternCNN
      >>> model = PatternCNN((28, 28, 1), convs=1, stages=1, hidden=0, rngs=nnx.Rngs(0))
      >>> figure = guided_backpropagation(model, jnp.ones((28, 28, 1)), target=7)
      >>> figure.axes[0].images[0].get_array().shape
      (28, 28)
    """
    how, asked = functools.partial(analysis.guided_backpropagation, model), (model, image, target)
    return draw("Guided backpropagation", how, (*asked, title, ax), _GATED, channels="largest")


@named
def deconvnet(
    model: Model,
    image: ArrayLike,
    *,
    target: Any = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws what the network run backwards projects onto the image: `analysis.deconvnet`.

    Args:
      model: as in `guided_backpropagation`.
      image: as in `saliency`.
      target: as in `saliency`.
      title: as in `saliency`.
      ax: as in `saliency`.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: as `guided_backpropagation`.
      TypeError: as `guided_backpropagation`.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import PatternCNN
      >>> model = PatternCNN((28, 28, 1), convs=1, stages=1, hidden=0, rngs=nnx.Rngs(0))
      >>> figure = deconvnet(model, jnp.ones((28, 28, 1)), target=7)
      >>> figure.axes[0].images[0].get_array().shape
      (28, 28)
    """
    how, asked = functools.partial(analysis.deconvnet, model), (model, image, target, title, ax)
    return draw("Deconvnet", how, asked, _GATED, channels="largest")


@named
def grad_cam(
    model: Any,
    image: ArrayLike,
    *,
    layer: str | None = None,
    target: Any = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws which places of a layer's maps speak for an output: `analysis.grad_cam`.

    Args:
      model: a `flax.nnx.Module`.
      image: as in `saliency`.
      layer: path of the layer, as in `analysis.grad_cam`.
      target: as in `saliency`.
      title: as in `saliency`.
      ax: as in `saliency`.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: as `saliency`, or there is no such layer, or it gives no maps.
      TypeError: as `saliency`.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn.models import PatternCNN
      >>> model = PatternCNN((28, 28, 1), convs=1, stages=1, hidden=0, rngs=nnx.Rngs(0))
      >>> figure = grad_cam(model, jnp.ones((28, 28, 1)), target=7)
      >>> figure.axes[0].images[0].get_array().shape
      (28, 28)
    """
    how, asked = functools.partial(analysis.grad_cam, model, layer=layer), (model, image, target)
    return draw("Grad-CAM", how, (*asked, title, ax), "evidence for it", channels=None)


@named
def occlusion(
    model: Model,
    image: ArrayLike,
    *,
    target: Any = None,
    window_shape: Sequence[int] = (8, 8),
    strides: int | Sequence[int] = 4,
    fill: float = 0.0,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws how much the output falls where a patch of the image is covered.

    Args:
      model: as in `saliency`.
      image: as in `saliency`.
      target: as in `saliency`.
      window_shape: as in `analysis.occlusion`.
      strides: as in `analysis.occlusion`.
      fill: as in `analysis.occlusion`.
      title: as in `saliency`.
      ax: as in `saliency`.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: as `saliency`, or patches do not fit.
      TypeError: as `saliency`.

    Example:
      >>> import jax.numpy as jnp
      >>> model = jax.jit(lambda x: x.reshape(len(x), -1)[:, :3])
      >>> occlusion(model, jnp.ones((8, 8, 1)), target=2).axes[0].get_title()
      'Occlusion for class 2 (33 %)'
    """
    options = dict(window_shape=window_shape, strides=strides, fill=fill)
    how, asked = functools.partial(analysis.occlusion, model, **options), (model, image, target)
    return draw("Occlusion", how, (*asked, title, ax), "fall of the output", channels=None)


_GATED = "gradient let through"
