"""A program, not a test: trains small networks on meshes and writes down what came of it.

    python tests/experiments/train_on_mesh.py FOLDER lenet:data=1 lenet:data=4,space=2 ...

makes FOLDER/lenet-data=4,space=2.npz with the losses and all that changed, and beside it a .txt,
the compiled program. Several processes make the files together.
"""

import math
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.data import Dataset, Split
from experiments.data.split import Layout
from experiments.training.augment import Augmentation
from experiments.training.mesh import batch_share, make_mesh, split
from experiments.training.place import constrain, place_batch, replicate
from experiments.training.processes import is_first, start_processes
from jaxcnn import models, nn
from jaxcnn.models.resnet import _Residual

STEPS = 3
OPTIMIZER = optax.sgd(0.02, momentum=0.9)


class SlimResNet6(_Residual):
    """ResNet-18's first stages with one block each and a sixteenth of the channels."""

    def __init__(self, rngs: nnx.Rngs):
        self.in_features, self.num_classes = 3, 5
        options = {"rngs": rngs, "dtype": None, "param_dtype": jnp.float64}
        stem = nn.ConvBlock(3, 4, (7, 7), 2, padding=3, **options)
        pool = nn.MaxPool((3, 3), strides=2, padding=1)
        layers = {"stem": stem, "pool": pool}
        self._build(layers, nn.BasicBlock, (1, 1), (4, 8), options, {}, False)


# The heights of LeNet's maps are 28, 14, 10, 5; of this U-Net's 24, 12; of ResNet's 32 to 4.
NETWORKS = {
    "lenet": (lambda rngs: models.LeNet5(5, rngs=rngs, param_dtype=jnp.float64), (32, 28, 28, 1)),
    "resnet": (SlimResNet6, (8, 32, 24, 3)),
    "unet": (
        lambda rngs: models.UNet(5, widths=(4, 6), rngs=rngs, param_dtype=jnp.float64),
        (8, 24, 16, 3),
    ),
}


def filled(leaf: jax.ShapeDtypeStruct, rng: np.random.Generator) -> jax.Array:
    """Numbers of a fitting size; to draw them as the networks do takes a program for each shape."""
    fan_in = math.prod(leaf.shape[:-1])
    values = rng.normal(size=leaf.shape) / fan_in**0.5 if leaf.ndim > 1 else np.ones(leaf.shape)
    return jax.device_put(values.astype(leaf.dtype))


def train(network: str, spec: str, folder: pathlib.Path) -> None:
    """A few steps in float64 on a batch that stays the same."""
    make, shape = NETWORKS[network]
    rng = np.random.default_rng(7)
    images = rng.normal(size=shape)
    labels = rng.integers(0, 5, shape[:3] if network == "unet" else shape[:1])
    model = nnx.eval_shape(lambda: make(nnx.Rngs(3)))
    model.train()
    graph, parameters, rest = nnx.split(model, nnx.Param, ...)
    parameters, rest = jax.tree.map(lambda leaf: filled(leaf, rng), (parameters, rest))
    moments = jax.jit(OPTIMIZER.init)(parameters)
    mesh = make_mesh(spec)

    def loss(parameters, rest, images, labels):
        model = nnx.merge(graph, parameters, rest, copy=True)
        value = optax.softmax_cross_entropy_with_integer_labels(model(images), labels).mean()
        return value, nnx.split(model, nnx.Param, ...)[2]

    def step(state, images, labels):
        parameters, rest, moments = state
        images, labels = constrain(mesh, (images, labels))
        derivative = jax.value_and_grad(loss, has_aux=True)
        (value, rest), gradient = derivative(parameters, rest, images, labels)
        updates, moments = OPTIMIZER.update(gradient, moments, parameters)
        return (optax.apply_updates(parameters, updates), rest, moments), value

    index, count = batch_share(mesh)
    own = slice(index * len(images) // count, (index + 1) * len(images) // count)
    with split(mesh):
        batch = place_batch(mesh, (images[own], labels[own]))
        state = replicate(mesh, (parameters, rest, moments))
        compiled = jax.jit(step).lower(state, *batch).compile()
        losses = []
        for _ in range(STEPS):
            state, value = compiled(state, *batch)
            losses.append(np.asarray(value))
    write(folder / f"{network}-{spec}.npz", np.array(losses), state, compiled)


def small_network(rngs: nnx.Rngs) -> nn.Chain:
    """A convolution, a pool, a dense layer."""
    return nn.Chain(
        conv=nn.ConvBlock(1, 4, (3, 3), rngs=rngs),
        pool=nn.MaxPool((2, 2), strides=2),
        flatten=nn.Flatten(),
        fc=nnx.Linear(784, 10, rngs=rngs),
    )


def run_trainer(spec: str, folder: pathlib.Path) -> None:
    """An epoch of the trainer itself, in float32, with images that are moved at random."""
    from experiments.training.programs import Programs  # half a second that others need not wait
    from experiments.training.recipe import Recipe

    rng = np.random.default_rng(7)
    images = rng.integers(0, 256, (64, 28, 28, 1)).astype(np.uint8)
    examples = [{"image": image, "label": n % 10} for n, image in enumerate(images)]
    layout = Layout("noise", pathlib.Path("nowhere"), "image", "label", (28, 28, 1), False)
    splits = Split(examples, layout), Split(examples[:16], layout)
    dataset = Dataset("noise", "classification", tuple(map(str, range(10))), (28, 28, 1), *splits)
    recipe = Recipe(
        batch_size=16,
        test_batch_size=16,
        optimizer="sgd",
        learning_rate=0.01,
        schedule="constant",
        augmentation=Augmentation(shift=2, flip="random", cutout=3, mixup=0.5),
    )
    with jax.enable_x64(False):
        mesh = make_mesh(spec)
        programs = Programs(small_network, dataset, recipe, mesh=mesh)
        programs.compile()
        batches = programs.batches
        state, _, metrics = batches.advance(programs.initial_state(0), 0, programs.key(0))
        write(folder / f"trainer-{spec}.npz", metrics.loss, state, batches.compiled)


def write(path: pathlib.Path, losses, state, compiled) -> None:
    """What one process writes for all."""
    if is_first():
        arrays = {str(i): np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
        memory = compiled.memory_analysis().temp_size_in_bytes
        np.savez(path, losses=np.asarray(losses), memory=memory, **arrays)
        path.with_suffix(".txt").write_text(compiled.as_text())


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    start_processes()
    for argument in sys.argv[2:]:
        network, spec = argument.split(":")
        folder = pathlib.Path(sys.argv[1])
        if network == "trainer":
            run_trainer(spec, folder)
        else:
            train(network, spec, folder)
