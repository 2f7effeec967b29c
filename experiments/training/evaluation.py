"""The test: every example once, in batches of one size, seen in one or several ways."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from experiments.training.network import Model, Network, scale
from experiments.training.place import constrain
from experiments.training.step import to_size


class Sums(NamedTuple):
    """Over examples or pixels: cross-entropy, and how often class i was taken for class j."""

    loss: jax.Array
    confusion: jax.Array


def results(sums: Sums) -> dict[str, float]:
    """Means over all that has a class: loss in nats, accuracy, and intersection over union.

        union of class i = how often i is true or given, or both

    The last is a mean over the classes that are there.
    """
    confusion = np.asarray(sums.confusion, np.float64)
    count = max(confusion.sum(), 1)
    both = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - both
    return {
        "loss": float(sums.loss) / count,
        "accuracy": both.sum() / count,
        "iou": float((both[union > 0] / union[union > 0]).mean()),
    }


def no_class(targets: np.ndarray) -> int:
    """The target of what only fills a batch: -1, or 255 in masks, which are bytes."""
    return 255 if targets.dtype == np.uint8 else -1


def fill(images: np.ndarray, targets: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Adds black images without a class, up to a multiple of `size`."""
    missing = -len(images) % size
    black = np.zeros((missing, *images.shape[1:]), images.dtype)
    none = np.full((missing, *targets.shape[1:]), no_class(targets), targets.dtype)
    return np.concatenate([images, black]), np.concatenate([targets, none])


def make_evaluate(
    network: Network, *, classes: int, views: str, mesh: Mesh
) -> Callable[[Model, jax.Array, jax.Array], tuple[Sums, Any]]:
    """The test of a batch: `(model, images, targets) -> (sums, outputs)`.

    The outputs are probabilities for labels, and the most likely classes for masks.

    Args:
      network: the static part.
      classes: logits of the network.
      views: of `Recipe`.
      mesh: over which the batch is spread.
    """

    def evaluate(model: Model, images, targets):
        images, targets = constrain(mesh, (images, targets))
        logits = sum(
            weight * to_size(_undo(network.apply(model, view)[0], flipped), targets, classes)
            for view, flipped, weight in _views(scale(images), views)
        )
        labels = targets.astype(jnp.int32)
        valid = (labels >= 0) & (labels < classes)
        labels = jnp.where(valid, labels, 0)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        given = logits.argmax(-1)
        cells = jnp.where(valid, labels * classes + given, classes**2)
        counts = jnp.bincount(cells.ravel(), length=classes**2 + 1)[:-1]
        sums = Sums((losses * valid).sum(), counts.reshape(classes, classes))
        return sums, jax.nn.softmax(logits) if targets.ndim == 1 else given.astype(jnp.uint8)

    return evaluate


def _views(images: jax.Array, views: str):
    """(images, whether they are mirrored, weight) for each way of seeing them."""
    shifted = [(images, 1.0)]
    if views == "flip-shift":  # by a pixel along both axes, the border mirrored into itself
        height, width = images.shape[1:3]
        padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        ends = (padded[:, :height, :width], padded[:, 2:, 2:])
        shifted = [(images, 0.5), *((end, 0.25) for end in ends)]
    for image, weight in shifted:
        if views == "one":
            yield image, False, weight
        else:
            yield image, False, weight / 2
            yield jnp.flip(image, 2), True, weight / 2


def _undo(logits: jax.Array, flipped: bool) -> jax.Array:
    return jnp.flip(logits, 2) if flipped and logits.ndim == 4 else logits
