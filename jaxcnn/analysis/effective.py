"""How much each pixel moves a unit: the effective receptive field, by gradients."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jaxtyping import Array, ArrayLike, Float

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn._modules.still import still
from jaxcnn.analysis._targets import images_of


@named
def effective_field(
    function: Callable[..., Any],
    inputs: ArrayLike,
    *,
    unit: Sequence[int] | None = None,
    channel: int | None = None,
) -> Float[Array, "*spatial"]:
    """The gradient's energy of one unit on the image, averaged over images.

        E[p] = mean over n of sum over c of (d unit / d x[n, p, c])^2

    It lies within what `receptive_field` gives, is large in the middle and dies away towards the
    edge, because more paths lead there.

    Args:
      function: any module or function of images that gives maps `(n, *out, features)`.
      inputs: images to average over, `(n, *spatial, channels)`.
      unit: the unit's place among `out`; None for the one in the middle.
      channel: the unit's feature; None for the sum of all.
    Returns:
      The energy of each pixel, `(*spatial)`.
    Raises:
      ValueError: the inputs are no images, or there is no such unit.
      TypeError: `function` can't be called, or is one that changes a module which it holds.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import analysis
      >>> twice = lambda x: nnx.avg_pool(nnx.avg_pool(x, (2, 1)), (2, 1))
      >>> (16 * analysis.effective_field(twice, jnp.ones((1, 3, 1, 1))))[:, 0].tolist()
      [1.0, 4.0, 1.0]

    References:
      W. Luo, Y. Li, R. Urtasun and R. Zemel, Understanding the effective receptive field in deep
      convolutional neural networks, 2016.
    """
    run, images = still("function", function), images_of(inputs)
    place = place_of(jax.eval_shape(run, images), unit, channel)

    @jax.jit
    def energy(x: Array) -> Array:
        gradient = jax.grad(lambda x: at(run(x), place, channel).sum())(x)
        return (gradient**2).sum(-1).mean(0)

    return energy(images)


def place_of(maps: Any, unit: Sequence[int] | None, channel: object) -> tuple[int, ...]:
    """The unit's place, checked against the shape of the maps; the middle for None."""
    shape = getattr(maps, "shape", ())
    spatial = shape[1:-1]
    if len(shape) < 2:
        raise ValueError(f"`function` must give (n, *out, features); received {shape}")
    if channel is not None:
        number = geometry.whole_number("channel", channel, 0)
        if number >= shape[-1]:
            raise ValueError(f"`channel` (={number}) must be below the {shape[-1]} features")
    if unit is None:
        return tuple(size // 2 for size in spatial)
    if not isinstance(unit, Sequence):
        raise TypeError(
            f"`unit` (={unit!r}) must be a tuple, one int per axis of {spatial}; got "
            f"{type(unit).__name__}"
        )
    place = tuple(geometry.whole_number("unit", entry, 0) for entry in unit)
    if len(place) != len(spatial) or any(p >= n for p, n in zip(place, spatial, strict=True)):
        raise ValueError(f"`unit` (={place}) must be a place in maps of sizes {spatial}")
    return place


def at(maps: Any, place: tuple[int, ...], channel: int | None) -> Any:
    """The unit's value in each image, or the sum of its channels."""
    features = maps[(slice(None), *place)]
    return features.sum(axis=-1) if channel is None else features[:, channel]
