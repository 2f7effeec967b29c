"""Which pixels move an output, by its gradients: `(n, *spatial, channels)`, signed and unscaled.

`heat_map` makes pictures of them. A model runs as a copy, in evaluation; a function is called as it
is. Images are independent of one another there, so that one gradient of a sum serves a batch.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn._modules.still import still
from jaxcnn.analysis._targets import chosen, images_of

Model = Callable[..., Any]
Images = Float[Array, "n *spatial channels"]


@named
def saliency(model: Model, inputs: ArrayLike, *, target: Any = None) -> Images:
    """The gradient of an output by the image.

        out[n, i, j, c] = d y[n] / d x[n, i, j, c]

    Args:
      model: any module or function of images; `functools.partial` sets other arguments of a module.
      inputs: `(n, *spatial, channels)`, floats, scaled as the model takes them.
      target: y, one number for each image. None for its largest logit; a class for all images; a
        list or an array of one class for each; a tuple, such as (row, column, class), for a place
        in the outputs of an image; or a function from the outputs to `(n,)`, such as
        ``lambda maps: maps[:, 3:9, 2:7, 1].sum((1, 2))`` for class 1 in a box.
    Returns:
      The gradient, in the inputs' shape: positive where a brighter pixel raises the output.
    Raises:
      ValueError: there is no such place or class, or the inputs are no images.
      TypeError: the model can't be called, or is a function that changes a module which it holds.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import analysis
      >>> weights = jnp.arange(12.0).reshape(4, 3)
      >>> analysis.saliency(
      ...     lambda x: x.reshape(len(x), -1) @ weights, jnp.ones((2, 2, 2, 1)), target=[0, 2]
      ... )[..., 0].tolist()
      [[[0.0, 3.0], [6.0, 9.0]], [[2.0, 5.0], [8.0, 11.0]]]

    References:
      K. Simonyan, A. Vedaldi and A. Zisserman, Deep inside convolutional networks, 2014.
    """
    run, images = still("model", model), images_of(inputs)
    return _gradients(run, target)(images)


@named
def smooth_grad(
    model: Model,
    inputs: ArrayLike,
    *,
    target: Any = None,
    samples: int = 32,
    noise: float = 0.15,
    seed: int = 0,
) -> Images:
    """The gradient averaged over noisy copies of the image, which takes its speckle away.

        mean over s of d y / d x at x + noise * (max x - min x) * normal[s]

    Args:
      model: as in `saliency`.
      inputs: as in `saliency`.
      target: as in `saliency`; where it is None the class is that of the image without noise.
      samples: noisy copies.
      noise: standard deviation, as a share of each image's range.
      seed: of the noise.
    Returns:
      The mean gradient, in the inputs' shape.
    Raises:
      ValueError: as `saliency`, or `samples` or `noise` is out of range.
      TypeError: as `saliency`, or `noise` is no number.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import analysis
      >>> squares = lambda x: (x**2).reshape(len(x), -1)
      >>> analysis.smooth_grad(squares, jnp.ones((1, 1, 2, 1)), target=1, samples=4)[0, 0, :, 0]
      Array([0., 2.], dtype=float32)

    References:
      D. Smilkov et al., SmoothGrad: removing noise by adding noise, 2017.
    """
    run, images = still("model", model), images_of(inputs)
    count = geometry.whole_number("samples", samples, 1)
    if isinstance(noise, bool) or not isinstance(noise, (int, float, np.number)):
        raise TypeError(f"`noise` (={noise!r}) must be a number")
    if not noise >= 0:
        raise ValueError(f"`noise` (={noise}) must be 0 or more")
    axes = tuple(range(1, images.ndim))
    spread = float(noise) * (images.max(axes, keepdims=True) - images.min(axes, keepdims=True))
    gradient = _gradients(run, fixed_target(run, images, target))
    total = jnp.zeros_like(images)
    for key in jax.random.split(jax.random.key(seed), count):
        moved = images + spread * jax.random.normal(key, images.shape, images.dtype)
        total = total + gradient(moved)
    return total / count


@named
def integrated_gradients(
    model: Model,
    inputs: ArrayLike,
    *,
    target: Any = None,
    baseline: ArrayLike = 0.0,
    steps: int = 32,
) -> Images:
    """The gradient along the straight way from a baseline to the image, times the way.

        out = (x - b) * mean over s of d y / d x at b + (s + 1/2) / steps * (x - b)

    For a network without jumps all of an image's numbers add up to y(x) - y(b), the better the more
    steps there are.

    Args:
      model: as in `saliency`.
      inputs: as in `saliency`.
      target: as in `saliency`; where it is None the class is that of the image.
      baseline: b, what stands for no image, broadcast to the inputs: black, or the mean.
      steps: points on the way.
    Returns:
      The share of each number of the image, in the inputs' shape.
    Raises:
      ValueError: as `saliency`, `steps` is below 1, or the baseline has another shape.
      TypeError: as `saliency`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import analysis
      >>> squares = lambda x: (x**2).reshape(len(x), -1)
      >>> analysis.integrated_gradients(squares, 3 * jnp.ones((1, 1, 2, 1)), target=1)[0, 0, :, 0]
      Array([0., 9.], dtype=float32)

    References:
      M. Sundararajan, A. Taly and Q. Yan, Axiomatic attribution for deep networks, 2017.
    """
    run, images = still("model", model), images_of(inputs)
    count = geometry.whole_number("steps", steps, 1)
    start = jnp.asarray(baseline, images.dtype)
    sizes = zip(start.shape[::-1], images.shape[::-1], strict=False)
    if start.ndim > images.ndim or any(size not in (1, n) for size, n in sizes):
        raise ValueError(f"`baseline` must fit the inputs {images.shape}; received {start.shape}")
    start = jnp.broadcast_to(start, images.shape)
    gradient = _gradients(run, fixed_target(run, images, target))
    total = jnp.zeros_like(images)
    for step in range(count):
        share = jnp.asarray((step + 0.5) / count, images.dtype)
        total = total + gradient(start + share * (images - start))
    return (images - start) * (total / count)


def _gradients(run: Model, target: Any) -> Callable[[Array], Array]:
    """Of the sum over images, each of which moves its own number alone."""
    return jax.jit(jax.grad(lambda x: chosen(run(x), target).sum()))


def fixed_target(run: Model, images: Array, target: Any) -> Any:
    """The classes of the images themselves, where none is given."""
    if target is not None:
        return target

    def largest(x: Array) -> Array:
        outputs = run(x)
        chosen(outputs, None)  # which says what is wrong
        return jnp.argmax(outputs, axis=1)

    return jax.jit(largest)(images)


@named
def heat_map(
    attribution: ArrayLike,
    *,
    channels: str | None = "largest",
    negative: str = "absolute",
    scale: bool = True,
) -> Float[Array, "n *spatial"]:
    """Makes one number of each pixel of an attribution, to be drawn in colours.

    Args:
      attribution: `(n, *spatial, channels)`; with `channels=None` `(n, *spatial)`.
      channels: "largest" for the channel with the largest magnitude, its sign kept, "sum" for the
        sum, None where there are none, as after `grad_cam` and `occlusion`.
      negative: what becomes of negative numbers: "absolute" for their magnitude, "cut" for 0,
        "keep" for themselves.
      scale: whether each image gets a scale of its own: from its least to its largest number 0 to
        1, as pytorch-grad-cam does; with "keep" the largest magnitude is 1, and 0 stays 0.
    Returns:
      `(n, *spatial)`.
    Raises:
      ValueError: an option is none of these, or the attribution has too few axes.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import analysis
      >>> gradient = jnp.array([[[-4.0, 1.0], [2.0, 0.0]]])  # one row of two pixels, two channels
      >>> analysis.heat_map(gradient, scale=False).tolist()
      [[4.0, 2.0]]
      >>> analysis.heat_map(gradient, negative="keep").tolist()
      [[-1.0, 0.5]]
    """
    for name, value, known in (
        ("channels", channels, ("largest", "sum", None)),
        ("negative", negative, ("absolute", "cut", "keep")),
    ):
        if value not in known:
            raise ValueError(f"`{name}` (={value!r}) must be one of {', '.join(map(repr, known))}")
    values = jnp.asarray(attribution)
    if values.ndim < 2 + (channels is not None):
        raise ValueError(
            "`attribution` must be (n, *spatial, channels), or (n, *spatial) with channels=None; "
            f"received {values.shape}"
        )
    if channels == "sum":
        values = values.sum(-1)
    elif channels == "largest":
        place = jnp.argmax(jnp.abs(values), axis=-1)[..., None]
        values = jnp.take_along_axis(values, place, axis=-1)[..., 0]
    if negative != "keep":
        values = jnp.abs(values) if negative == "absolute" else jnp.maximum(values, 0)
    if not scale:
        return values
    axes = tuple(range(1, values.ndim))
    over = functools.partial(jnp.max, axis=axes, keepdims=True)
    if negative != "keep":
        values = values - values.min(axes, keepdims=True)
    largest = over(jnp.abs(values))
    return values / jnp.where(largest > 0, largest, 1)
