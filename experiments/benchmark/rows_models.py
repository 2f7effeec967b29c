"""Rows of training steps: a network added to the library adds its line at the end."""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from experiments.benchmark import plain_flax
from experiments.benchmark.registry import Benchmark, Draw, register, scaled, whole
from jaxcnn import models, nn

RATE = 0.01  # of the gradient descent; also in torch_worker/models.py

Make = Callable[..., nnx.Module]


def model(
    name: str,
    images: tuple[int, ...],
    ours: Make,
    torch: str | None = None,
    *,
    batches: int = 0,
    note: str = "",
) -> Benchmark:
    """Adds a step of gradient descent: (images, labels, *state) -> (loss, *state).

    The state is what the network keeps but for the averages of batch normalisations, on which no
    step depends: nobody computes them. Parameters move, the rest of the state is handed on.

    Args:
      name: of the row.
      images: their shape, the batch first.
      ours: makes the network, `ours(rngs=...)`; Flax's is made from it.
      torch: its name in `torch_worker/models.py`.
      batches: so many steps, in one `lax.scan`, in place of one.
      note: as in `Benchmark`.
    """
    leading = (batches,) if batches else ()
    network = _Network(ours)
    logits = jax.eval_shape(
        network.logits, network.abstract, jax.ShapeDtypeStruct(images, jnp.float32)
    )
    mode = _epoch if batches else _step
    options = dict(network=torch, names=network.names, moved=network.moved, batches=batches)
    return register(
        name,
        "networks",
        [
            (*leading, *images),
            whole(logits.shape[-1], *leading, images[0]),
            *(
                _typical(path, value.shape)
                for path, value in zip(network.names, network.abstract, strict=True)
            ),
        ],
        ours=functools.partial(mode, network),
        # Built where it is measured: the rows of a suite are all made, to be chosen from.
        peers={"flax": lambda *arrays: mode(_Network(plain_flax.plain(ours)), *arrays)},
        torch=torch and ("step", options),
        note=note,
        suite="models",
        in_scan=not batches,
    )


class _Network:
    """A network as a function of its state, a list of arrays.

    Attributes:
      names: paths of the arrays, such as "features/conv1/kernel".
      abstract: their shapes and dtypes.
      moved: for each whether it is a parameter, which a step moves.
    """

    def __init__(self, make: Make):
        model = nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0)))
        aside = (nnx.BatchStat, nnx.RngState)
        self._graph, self._aside, state = nnx.split(model, aside, ...)
        flat = nnx.to_flat_state(state)
        self._paths = [path for path, _ in flat]
        self.names = ["/".join(map(str, path)) for path in self._paths]
        self._kinds = [value for _, value in flat]
        self.abstract = [value.get_value() for value in self._kinds]
        self.moved = [isinstance(value, nnx.Param) for value in self._kinds]

    def logits(self, arrays: Sequence[jax.Array], images: jax.Array) -> jax.Array:
        """What the network gives, in training."""
        values = zip(self._kinds, arrays, strict=True)
        state = nnx.from_flat_state(
            list(zip(self._paths, (kind.replace(a) for kind, a in values), strict=True))
        )
        average = jnp.promote_types(images.dtype, jnp.float32)
        aside = jax.tree.map(functools.partial(_unused, average), self._aside)
        return nnx.merge(self._graph, aside, state)(images)


def _unused(average: jnp.dtype, value: jax.ShapeDtypeStruct) -> jax.Array:
    """In place of what no step depends on: averages of that dtype, and random state."""
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return jax.random.key(0)
    floating = jnp.issubdtype(value.dtype, jnp.floating)
    return jnp.zeros(value.shape, average if floating else value.dtype)


def _typical(name: str, shape: tuple[int, ...]) -> Draw:
    """Kernels that keep the deviation of a layer's inputs, factors near 1, biases near 0."""
    if len(shape) > 1:
        return scaled((2 / math.prod(shape[:-1])) ** 0.5, *shape)
    if name.endswith("scale"):
        return lambda rng: 1 + scaled(0.1, *shape)(rng)
    return scaled(0.1, *shape)


def _step(network, images, labels, *state):
    """One step."""

    def loss(parameters):
        moving = iter(parameters)
        arrays = [next(moving) if m else a for a, m in zip(state, network.moved, strict=True)]
        logits = network.logits(arrays, images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    parameters = [a for a, moved in zip(state, network.moved, strict=True) if moved]
    value, gradient = jax.value_and_grad(loss)(parameters)
    steps = iter(gradient)
    return value, *(
        a - RATE * next(steps) if moved else a
        for a, moved in zip(state, network.moved, strict=True)
    )


def _epoch(network, images, labels, *state):
    """As many steps as there are batches, in one scan."""

    def step(state, batch):
        value, *moved = _step(network, *batch, *state)
        return tuple(moved), value

    state, losses = jax.lax.scan(step, state, (images, labels))
    return losses, *state


def _cifar_resnet18(rngs: nnx.Rngs) -> nnx.Module:
    """ResNet-18 as it is trained on CIFAR: three taps and no pool at the start."""
    model = models.ResNet(18, 10, rngs=rngs)
    stages = {f"stage{n}": getattr(model.features, f"stage{n}") for n in range(1, 5)}
    stem = nn.ConvBlock(3, 64, (3, 3), padding=1, rngs=rngs)
    model.features = nn.Chain(stem=stem, **stages)
    return model


small_vgg = functools.partial(models.PatternCNN, (32, 32, 3), stages=3, features=32)
mobilenet = functools.partial(models.MobileNetV2, 10, dropout=0.0)
convnext = functools.partial(models.ConvNeXtTiny, 10, stochastic_depth=0.0, layer_scale=1.0)
lenet_images, vgg_images = (128, 28, 28, 1), (64, 32, 32, 3)
model("LeNet-5 step", lenet_images, models.LeNet5, "lenet5")
model("LeNet-5 epoch, 31 steps", lenet_images, models.LeNet5, "lenet5", batches=31)
model("small VGG step", vgg_images, small_vgg, "small_vgg")
model("CIFAR speed network step", (64, 32, 32, 3), models.CifarSpeedNet, "speed_net")
model("ResNet-18 step, CIFAR form", (8, 32, 32, 3), _cifar_resnet18, "resnet")
model("MobileNetV2 step, 64x64", (8, 64, 64, 3), mobilenet, "mobilenet")
model("ConvNeXt-Tiny step, 64x64", (4, 64, 64, 3), convnext, "convnext")
