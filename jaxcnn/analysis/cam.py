"""Which places speak for an output: Grad-CAM, and what happens where the image is covered."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn._modules.still import still
from jaxcnn.analysis._activations import Look
from jaxcnn.analysis._targets import chosen, images_of
from jaxcnn.analysis.attribution import Model, fixed_target

Maps = Float[Array, "n *spatial"]


@named
def grad_cam(
    model: Any,
    inputs: ArrayLike,
    *,
    layer: str | None = None,
    target: Any = None,
    negative: str = "cut",
) -> Maps:
    """Which places of a layer's maps A speak for an output y.

        cam[n, i, j] = relu(sum over c of A[n, i, j, c] * w[n, c])
        w[n, c] = mean over i, j of d y[n] / d A[n, i, j, c]

    enlarged to the image by linear interpolation, and not scaled: `heat_map(cam, channels=None)`
    gives what pytorch-grad-cam gives. Of complex maps it is the real part of the sum.

    Args:
      model: a `flax.nnx.Module`; its `layer` is found by its path, and the model left as it is.
      inputs: `(n, *spatial, channels)`, floats.
      layer: path of the layer, as `feature_maps` names it; None for `features`, where the model
        has such a part, else for the last layer whose output is `(n, *spatial, channels)` with more
        than one pixel.
      target: y, as in `saliency`.
      negative: "cut" as in the paper, or "keep" for the sum itself, whose negative parts speak
        against the output.
    Returns:
      `(n, *spatial)`, as large as the images.
    Raises:
      ValueError: as `saliency`, or there is no such layer, or it gives no maps.
      TypeError: the model can't be called, or has no values.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxcnn import analysis, models
      >>> model = models.LeNet5(rngs=nnx.Rngs(0))
      >>> images = jnp.ones((2, 28, 28, 1))
      >>> analysis.grad_cam(model, images, layer="features.conv2", target=[3, 7]).shape
      (2, 28, 28)

    References:
      R. R. Selvaraju et al., Grad-CAM: visual explanations from deep networks via gradient-based
      localization, 2017.
    """
    if negative not in ("cut", "keep"):
        raise ValueError(f"`negative` (={negative!r}) must be 'cut' or 'keep'")
    images = images_of(inputs)
    look = Look(model, images)
    name = _last(look, images.ndim) if layer is None else layer
    maps = look.maps(name)
    if len(maps.shape) != images.ndim or maps.shape[0] != images.shape[0]:
        raise ValueError(
            f"`layer` (={name!r}) must give maps (n, *spatial, channels); it gives {maps.shape}"
        )

    @jax.jit
    def cams(x: Array) -> Array:
        def value(moved: Array) -> Any:
            outputs, found = look.run([x], {name: moved}, [name])
            return chosen(outputs, target).sum(), found[name]

        gradient, found = jax.grad(value, has_aux=True)(jnp.zeros(maps.shape, maps.dtype))
        axes = tuple(range(1, images.ndim - 1))
        cam = (found * gradient.mean(axes, keepdims=True)).sum(-1).real
        cam = jnp.maximum(cam, 0) if negative == "cut" else cam
        return jax.image.resize(cam, images.shape[:-1], "linear")

    return cams(images)


def _last(look: Look, rank: int) -> str:
    """The layer whose maps are looked at where none is named."""
    if "features" in look.calls:
        return "features"
    for name, number in reversed(look.calls.items()):
        single = hasattr(look.recording.calls[number].outputs, "shape")
        shape = look.found(number).shape
        if single and len(shape) == rank and max(shape[1:-1], default=1) > 1:
            return name
    raise ValueError(
        "`layer` must be the path of a layer that gives maps; the model's layers are "
        f"{', '.join(look.calls)}"
    )


@named
def occlusion(
    model: Model,
    inputs: ArrayLike,
    *,
    target: Any = None,
    window_shape: Sequence[int] = (8, 8),
    strides: int | Sequence[int] = 4,
    fill: float = 0.0,
) -> Maps:
    """How much an output falls where a patch of the image is covered.

        out[n, i, j] = mean over the patches p that cover pixel (i, j) of y(x) - y(x without p)

    Patches stand `strides` apart, and the last ones at the edge, so that each pixel is covered.

    Args:
      model: as in `saliency`.
      inputs: as in `saliency`.
      target: as in `saliency`; where it is None the class is that of the whole image.
      window_shape: of a patch, per spatial axis.
      strides: between patches, per spatial axis; no more than the window.
      fill: what a covered pixel holds.
    Returns:
      `(n, *spatial)`: positive where a pixel speaks for the output, unscaled.
    Raises:
      ValueError: as `saliency`, or a patch is larger than the image, or patches leave gaps.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import analysis
      >>> left = lambda x: x[:, :, :2].sum((1, 2))
      >>> analysis.occlusion(
      ...     left, jnp.ones((1, 2, 4, 1)), target=0, window_shape=(1, 1), strides=1
      ... )[0].tolist()
      [[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]]

    References:
      M. D. Zeiler and R. Fergus, Visualizing and understanding convolutional networks, 2014.
    """
    run, images = still("model", model), images_of(inputs)
    sizes = images.shape[1:-1]
    window = geometry.axes_tuple("window_shape", window_shape)
    if len(window) != len(sizes) or any(w > n for w, n in zip(window, sizes, strict=True)):
        raise ValueError(f"`window_shape` (={window}) must fit images of {sizes}")
    steps = geometry.per_axis("strides", strides, len(sizes))
    if any(step > w for step, w in zip(steps, window, strict=True)):
        raise ValueError(f"`strides` (={strides}) must be no more than `window_shape` (={window})")
    fixed = fixed_target(run, images, target)

    @jax.jit
    def value(x: Array) -> Array:
        return chosen(run(x), fixed)

    whole = value(images)
    total = jnp.zeros(images.shape[:-1], images.dtype)
    count = jnp.zeros(sizes, images.dtype)
    starts = (
        sorted({*range(0, n - w + 1, step), n - w})
        for n, w, step in zip(sizes, window, steps, strict=True)
    )
    for corner in itertools.product(*starts):
        patch = tuple(slice(at, at + w) for at, w in zip(corner, window, strict=True))
        fall = whole - value(images.at[(slice(None), *patch)].set(fill))
        total = total.at[(slice(None), *patch)].add(fall.reshape(-1, *(1 for _ in sizes)))
        count = count.at[patch].add(1)
    return total / count[None]
