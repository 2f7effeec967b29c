"""Which number of a network's outputs is looked at, one for each image."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from jaxcnn import geometry

Target = Any


def images_of(inputs: Any) -> jax.Array:
    """Images as an array.

    Raises:
      ValueError: they are no floats `(n, *spatial, channels)`.
      TypeError: they are several arrays.
    """
    if isinstance(inputs, Mapping | tuple):
        raise TypeError(
            f"`inputs` must be one array of images, got {type(inputs).__name__}; other arguments "
            "are set by functools.partial(model, name=value)"
        )
    images = jnp.asarray(inputs)
    if images.ndim < 3 or not images.size or not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(
            "`inputs` must be floats (n, *spatial, channels), a batch of images; received "
            f"{images.dtype} {images.shape}"
        )
    return images


def chosen(outputs: Any, target: Target) -> jax.Array:
    """One number for each image, `(n,)`.

    Args:
      outputs: of the network, `(n, ...)`.
      target: None for the largest logit of each image; a class for all images; a list or an array
        of one class for each; a tuple, such as (row, column, class), for a place in the outputs
        of an image; or a function from the outputs to one number for each image.
    Raises:
      ValueError: there is no such place, or the function gives something else.
      TypeError: it is none of these.
    """
    if callable(target):
        return _of_function(outputs, target)
    shape = getattr(outputs, "shape", None)
    if shape is None or len(shape) < 2 or not all(shape):
        raise ValueError(
            "`model` must give an array (n, classes) or (n, ..., features), or `target` must be a "
            f"function of what it gives; received {shape or type(outputs).__name__}"
        )
    if isinstance(target, tuple):
        place = tuple(geometry.whole_number("target", entry, 0) for entry in target)
        if len(place) != len(shape) - 1 or any(
            at >= size for at, size in zip(place, shape[1:], strict=True)
        ):
            raise ValueError(f"`target` (={place}) must be a place in outputs {shape[1:]}")
        return outputs[(slice(None), *place)]
    if len(shape) > 2:
        raise ValueError(
            f"`target` (={target!r}) must be a tuple, a place in the outputs {shape[1:]} of an "
            "image, or a function of the outputs to one number for each image"
        )
    if target is None:
        numbers = jnp.argmax(jax.lax.stop_gradient(outputs), axis=1)
    else:
        numbers = _classes(target, *shape)
    return jnp.take_along_axis(outputs, numbers[:, None], axis=1)[:, 0]


def _of_function(outputs: Any, target: Callable[[Any], Any]) -> jax.Array:
    values, images = target(outputs), jax.tree.leaves(outputs)[0].shape[0]
    if getattr(values, "shape", None) != (images,):
        told = getattr(values, "shape", type(values).__name__)
        raise ValueError(f"`target` must give one number for each image, ({images},); got {told}")
    return values


def _classes(target: Any, images: int, classes: int) -> np.ndarray | jax.Array:
    """The class of each image."""
    if isinstance(target, jax.core.Tracer):
        return jnp.broadcast_to(target, (images,))
    numbers = np.asarray(target)
    if numbers.dtype.kind not in "iu" or isinstance(target, bool):
        raise TypeError(
            f"`target` (={target!r}) must be None, a class, a list of classes, a tuple or "
            "a function"
        )
    if numbers.shape not in ((), (images,)):
        raise ValueError(
            f"`target` (={target!r}) must have one class for each of the {images} images"
        )
    if numbers.min() < 0 or numbers.max() >= classes:
        raise ValueError(f"`target` (={target!r}) must be below the {classes} classes")
    return np.broadcast_to(numbers, (images,))
