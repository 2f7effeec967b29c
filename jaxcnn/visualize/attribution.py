"""Draws which pixels move the answer of a classifier, by its gradients.

A module runs as a copy in evaluation, whatever mode it is in; the module itself stays as it is. Any
other function is called as it is, and refused where it would change a module that it holds.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import ArrayLike
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn._modules.still import still
from jaxcnn.visualize.figures import axes_of, hide_axes
from jaxcnn.visualize.gates import gated_gradient, logit

Model = Callable[[jax.Array], jax.Array]


@named
def saliency(
    model: Model,
    image: ArrayLike,
    *,
    target: int | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws how strongly each pixel moves a logit: max over channels of abs(d logit / d pixel).

    Args:
      model: from images `(n, height, width, channels)` to logits `(n, classes)`; a module runs in
        evaluation, and stays as it is.
      image: `(height, width, channels)`, scaled as the model takes it; its outline is drawn.
      target: the class; None for the one that the model takes the image for.
      title: heading; None for the method, the class and its probability.
      ax: axes to draw on; a new figure is made when None.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: the image or what the model gives has another rank, or there is no such class.
      TypeError: the model can't be called, or is a function that changes a module which it holds.

    Example:
      >>> model = jax.jit(lambda x: x.reshape(len(x), -1)[:, :3])
      >>> figure = saliency(model, jnp.ones((4, 4, 1)), target=2)
      >>> figure.axes[0].get_title()
      'Saliency for class 2 (33 %)'

    References:
      K. Simonyan, A. Vedaldi and A. Zisserman, Deep inside convolutional networks, 2014.
    """
    run = still("model", model)
    pixels, number, told = _asked(run, image, target)
    gradient = np.abs(_gradient(run, pixels, number)).max(axis=-1)
    label = "abs(d logit / d pixel)"
    return _drawn(title or f"Saliency for {told}", pixels, gradient, label, ax)


@named
def smooth_grad(
    model: Model,
    image: ArrayLike,
    *,
    target: int | None = None,
    samples: int = 32,
    noise: float = 0.15,
    seed: int = 0,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws the saliency averaged over noisy copies of the image, which takes its speckle away.

        mean over s of d logit / d pixel at image + noise * (max - min) * normal[s]

    Args:
      model: as in `saliency`.
      image: as in `saliency`.
      target: as in `saliency`.
      samples: noisy copies.
      noise: standard deviation, as a share of the image's range.
      seed: of the noise.
      title: heading; None for the method, the class and its probability.
      ax: axes to draw on; a new figure is made when None.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: as `saliency`, or `samples` or `noise` is out of range.
      TypeError: as `saliency`, or `noise` is no number.

    Example:
      >>> model = jax.jit(lambda x: x.reshape(len(x), -1)[:, :3])
      >>> smooth_grad(model, jnp.ones((4, 4, 1)), target=2).axes[0].get_title()
      'SmoothGrad for class 2 (33 %)'

    References:
      D. Smilkov et al., SmoothGrad: removing noise by adding noise, 2017.
    """
    run = still("model", model)
    pixels, number, told = _asked(run, image, target)
    count = geometry.whole_number("samples", samples, 1)
    if isinstance(noise, bool) or not isinstance(noise, (int, float, np.number)):
        raise TypeError(f"`noise` (={noise!r}) must be a number")
    if not noise >= 0:
        raise ValueError(f"`noise` (={noise}) must be 0 or more")
    drawn = jax.random.normal(jax.random.key(seed), (count, *pixels.shape), pixels.dtype)
    copies = _noisy(pixels, float(noise), drawn)
    gradients = jax.grad(lambda x: logit(run(x), number))(copies)
    gradient = np.abs(np.asarray(gradients.mean(axis=0))).max(axis=-1)
    label = f"abs of the mean gradient of {count}"
    return _drawn(title or f"SmoothGrad for {told}", pixels, gradient, label, ax)


@named
def guided_backpropagation(
    model: nnx.Module,
    image: ArrayLike,
    *,
    target: int | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws the gradient that is cut at every ReLU where it is negative or the ReLU is shut.

        let through: gradient * (x > 0) * (gradient > 0)

    What is left has only ever raised what raised the logit.

    Args:
      model: as in `saliency`, a module whose ReLUs are `nn.Activation("relu")`.
      image: as in `saliency`.
      target: as in `saliency`.
      title: heading; None for the method, the class and its probability.
      ax: axes to draw on; a new figure is made when None.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: as `saliency`, or the model has no such ReLU, or one inside a transformation.
      TypeError: the model is no `flax.nnx.Module`.

    Example:
      >>> from jaxcnn.models import PatternCNN
      >>> model = PatternCNN((28, 28, 1), convs=1, stages=1, hidden=0, rngs=nnx.Rngs(0))
      >>> figure = guided_backpropagation(model, jnp.ones((28, 28, 1)), target=7)
      >>> figure.axes[0].images[0].get_array().shape
      (28, 28)

    References:
      J. T. Springenberg et al., Striving for simplicity: the all convolutional net, 2015.
    """
    return _gated(
        "Guided backpropagation",
        lambda entering, arrived: (entering > 0) & (arrived > 0),
        (model, image, target, title, ax),
    )


@named
def deconvnet(
    model: nnx.Module,
    image: ArrayLike,
    *,
    target: int | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws what the network run backwards projects onto the image.

        let through at a ReLU: gradient * (gradient > 0)

    whatever went in there; convolutions are transposed, and a max pool's maxima go back to where
    they came from, as they do in backpropagation.

    Args:
      model: as in `guided_backpropagation`.
      image: as in `saliency`.
      target: as in `saliency`.
      title: heading; None for the method, the class and its probability.
      ax: axes to draw on; a new figure is made when None.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: as `guided_backpropagation`.
      TypeError: as `guided_backpropagation`.

    Example:
      >>> from jaxcnn.models import PatternCNN
      >>> model = PatternCNN((28, 28, 1), convs=1, stages=1, hidden=0, rngs=nnx.Rngs(0))
      >>> figure = deconvnet(model, jnp.ones((28, 28, 1)), target=7)
      >>> figure.axes[0].images[0].get_array().shape
      (28, 28)

    References:
      M. D. Zeiler and R. Fergus, Visualizing and understanding convolutional networks, 2014.
    """
    return _gated(
        "Deconvnet",
        lambda entering, arrived: arrived > 0,
        (model, image, target, title, ax),
    )


@named
def grad_cam(
    model: Any,
    image: ArrayLike,
    *,
    target: int | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws which places of the last feature maps A speak for a class.

        cam[i, j] = relu(sum over c of A[i, j, c] * mean over i, j of d logit / d A[i, j, c])

    enlarged to the image by linear interpolation.

    Args:
      model: as in `saliency`, with `features`, from images to maps `(n, h, w, channels)`, and
        `classifier`, from there to logits, as every classifier in `jaxcnn.models` has them.
      image: as in `saliency`.
      target: as in `saliency`.
      title: heading; None for the method, the class and its probability.
      ax: axes to draw on; a new figure is made when None.

    Returns:
      The figure drawn on.

    Raises:
      ValueError: as `saliency`.
      TypeError: as `saliency`, or the model has no `features` or no `classifier`.

    Example:
      >>> from jaxcnn.models import PatternCNN
      >>> model = PatternCNN((28, 28, 1), convs=1, stages=1, hidden=0, rngs=nnx.Rngs(0))
      >>> figure = grad_cam(model, jnp.ones((28, 28, 1)), target=7)
      >>> figure.axes[0].images[0].get_array().shape
      (28, 28)

    References:
      R. R. Selvaraju et al., Grad-CAM: visual explanations from deep networks via gradient-based
      localization, 2017.
    """
    for part in ("features", "classifier"):
        if not callable(getattr(model, part, None)):
            raise TypeError(
                f"`model` must have `features` and `classifier`; {type(model).__name__} "
                f"has no `{part}`"
            )
    run, features, classifier = (
        still("model", part) for part in (model, model.features, model.classifier)
    )
    pixels, number, told = _asked(run, image, target)
    maps = features(pixels[None])
    if not hasattr(maps, "shape") or len(maps.shape) != 4:
        raise ValueError(
            "`features` must give maps (n, h, w, channels); received "
            f"{getattr(maps, 'shape', type(maps).__name__)}"
        )
    gradient = jax.grad(lambda a: logit(classifier(a), number))(maps)
    weights = gradient.mean(axis=(1, 2), keepdims=True)
    cam = nnx.relu((maps * weights).sum(axis=-1))[0]
    cam = np.asarray(jax.image.resize(cam, pixels.shape[:2], "linear"))
    return _drawn(title or f"Grad-CAM for {told}", pixels, cam, "evidence for the class", ax)


def _asked(model: Model, image: ArrayLike, target: int | None):
    """The image as an array, the class's number, and the class in words."""
    pixels = jnp.asarray(image)
    if pixels.ndim != 3 or not pixels.size or not jnp.issubdtype(pixels.dtype, jnp.floating):
        raise ValueError(
            f"`image` must be floats (height, width, channels), one image; received "
            f"{pixels.dtype} {pixels.shape}"
        )
    logits = model(pixels[None])
    shape = getattr(logits, "shape", ())
    if len(shape) != 2 or shape[0] != 1 or not shape[1]:
        raise ValueError(
            f"`model` must give logits (n, classes) for images {(1, *pixels.shape)}; "
            f"received {shape or type(logits).__name__}"
        )
    probabilities = np.asarray(jax.jit(jax.nn.softmax)(logits[0]))
    number = int(probabilities.argmax())
    if target is not None:
        number = geometry.whole_number("target", target, 0)
        if number >= len(probabilities):
            raise ValueError(f"`target` (={number}) must be below the {len(probabilities)} classes")
    return pixels, number, f"class {number} ({100 * probabilities[number]:.0f} %)"


@jax.jit
def _noisy(pixels: jax.Array, noise: float, drawn: jax.Array) -> jax.Array:
    return pixels[None] + (pixels.max() - pixels.min()) * noise * drawn


def _gradient(model: Model, pixels: jax.Array, number: int) -> np.ndarray:
    return np.asarray(jax.grad(lambda x: logit(model(x[None]), number))(pixels))


def _gated(method: str, gate, asked) -> Figure:
    """The body of both gradients with gates of their own."""
    model, image, target, title, ax = asked
    pixels, number, told = _asked(still("model", model), image, target)
    gradient = np.asarray(gated_gradient(model, pixels, number, gate))
    channel = np.abs(gradient).argmax(axis=-1)[..., None]
    strongest = np.take_along_axis(gradient, channel, axis=-1)[..., 0]
    label = "gradient let through"
    return _drawn(title or f"{method} for {told}", pixels, strongest, label, ax, signed=True)


def _drawn(title, pixels, values, label: str, ax: Axes | None, *, signed: bool = False) -> Figure:
    """A map in colours, and the outline of the image on it."""
    height, width = values.shape
    figure, axes = axes_of(ax, (4.4, 3.6 * height / width + 0.3))
    limit = float(np.abs(values).max()) or 1.0
    image = axes.imshow(
        values, cmap="PuOr_r" if signed else "viridis", vmin=-limit if signed else 0, vmax=limit
    )
    grey = np.asarray(pixels, np.float64).mean(axis=-1)
    if np.ptp(grey) and min(grey.shape) > 1:
        colour = "#404040" if signed else "white"
        axes.contour(grey, [(grey.min() + grey.max()) / 2], colors=colour, linewidths=0.9)
    hide_axes(axes)
    axes.set_title(title, fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.85).set_label(label)
    return figure
