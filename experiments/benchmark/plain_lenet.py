"""LeNet-5 in Flax and Optax alone, as short as it gets: what a first step costs without us."""

from pathlib import Path

import jax
import numpy as np
import optax
import tensorflow_datasets as tfds
from flax import nnx

import experiments.data.mnist5k  # noqa: F401  tells TFDS of the data set


class LeNet5(nnx.Module):
    """The layers of `models.LeNet5`."""

    def __init__(self, rngs: nnx.Rngs):
        self.conv1 = nnx.Conv(1, 6, (5, 5), padding=2, rngs=rngs)
        self.conv2 = nnx.Conv(6, 16, (5, 5), padding="VALID", rngs=rngs)
        self.fc1 = nnx.Linear(400, 120, rngs=rngs)
        self.fc2 = nnx.Linear(120, 84, rngs=rngs)
        self.fc3 = nnx.Linear(84, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Logits."""
        for conv in (self.conv1, self.conv2):
            x = nnx.max_pool(nnx.relu(conv(x)), (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        return self.fc3(nnx.relu(self.fc2(nnx.relu(self.fc1(x)))))


@nnx.jit
def train_step(model: LeNet5, optimizer: nnx.Optimizer, images: jax.Array, labels: jax.Array):
    """One step; gives the loss."""

    def loss(model):
        return optax.softmax_cross_entropy_with_integer_labels(model(images), labels).mean()

    value, grads = nnx.value_and_grad(loss)(model)
    optimizer.update(model, grads)
    return value


def main(data_dir: Path) -> None:
    """Reads the data and takes one step."""
    source = tfds.data_source("mnist5k", split="train", data_dir=data_dir)
    images = np.stack([example["image"] for example in source]).astype(np.float32) / 255
    labels = np.array([example["label"] for example in source])
    model = LeNet5(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adamw(3e-3), wrt=nnx.Param)
    train_step(model, optimizer, images[:50], labels[:50]).block_until_ready()
