"""Rows of training steps: a network added to the library adds its line at the end."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from experiments.benchmark import plain_flax
from experiments.benchmark.registry import Row, register, scaled, whole
from experiments.training import split_model
from jaxcnn import models

RATE = 0.01  # of the gradient descent; also in torch_worker/models.py

Make = Callable[..., nnx.Module]


def model(
    name: str,
    images: tuple[int, ...],
    ours: Make,
    flax: Make | None = None,
    torch: str | None = None,
    *,
    batches: int = 0,
    note: str = "",
) -> Row:
    """Adds a step of gradient descent: (images, labels, *parameters) -> (loss, *parameters).

    Args:
      name: of the row.
      images: their shape, the batch first.
      ours: makes the network, `ours(rngs=...)`.
      flax: makes it in plain Flax under the same parameter names.
      torch: its name in `torch_worker/models.py`.
      batches: so many steps, in one `lax.scan`, in place of one.
      note: as in `Row`.
    """
    leading = (batches,) if batches else ()
    graph, parameters = split_model(nnx.eval_shape(lambda: ours(rngs=nnx.Rngs(0))))
    flat, tree = jax.tree_util.tree_flatten_with_path(parameters)
    names = ["/".join(entry.key for entry in path) for path, _ in flat]
    pixels = jax.ShapeDtypeStruct(images, jnp.float32)
    logits = jax.eval_shape(lambda p, x: nnx.merge(graph, p)(x), parameters, pixels)
    step = functools.partial(_epoch if batches else _step, tree)
    peers = {}
    if flax is not None:
        plain, plain_parameters = split_model(nnx.eval_shape(lambda: flax(rngs=nnx.Rngs(0))))
        if jax.tree.structure(plain_parameters) != tree:
            raise ValueError(f"{name}: the plain network has parameters of other names")
        peers["flax"] = functools.partial(step, plain)
    return register(
        name,
        "networks",
        [
            (*leading, *images),
            whole(logits.shape[-1], *leading, images[0]),
            *(scaled(_typical(value.shape), *value.shape) for _, value in flat),
        ],
        ours=functools.partial(step, graph),
        peers=peers,
        torch=torch and ("step", dict(network=torch, names=names, batches=batches)),
        note=note,
        suite="models",
        in_scan=not batches,
    )


def _typical(shape: tuple[int, ...]) -> float:
    """Standard deviation of kernels with which a layer keeps that of its inputs, and of biases."""
    return (2 / math.prod(shape[:-1])) ** 0.5 if len(shape) > 1 else 0.1


def _step(tree, graph, images, labels, *flat):
    """One step; the parameters as leaves of `tree`."""

    def loss(parameters):
        logits = nnx.merge(graph, parameters)(images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    parameters = jax.tree.unflatten(tree, flat)
    value, gradient = jax.value_and_grad(loss)(parameters)
    moved = jax.tree.map(lambda p, g: p - RATE * g, parameters, gradient)
    return value, *jax.tree.leaves(moved)


def _epoch(tree, graph, images, labels, *flat):
    """As many steps as there are batches, in one scan."""

    def step(flat, batch):
        value, *moved = _step(tree, graph, *batch, *flat)
        return tuple(moved), value

    flat, losses = jax.lax.scan(step, flat, (images, labels))
    return losses, *flat


small_vgg = functools.partial(models.PatternCNN, (32, 32, 3), stages=3, features=32)
lenet_images, vgg_images = (128, 28, 28, 1), (64, 32, 32, 3)
model("LeNet-5 step", lenet_images, models.LeNet5, plain_flax.LeNet5, "lenet5")
model(
    "LeNet-5 epoch, 31 steps", lenet_images, models.LeNet5, plain_flax.LeNet5, "lenet5", batches=31
)
model("small VGG step", vgg_images, small_vgg, plain_flax.SmallVGG, "small_vgg")
