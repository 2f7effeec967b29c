"""Epochs of LeNet-5 and of the CIFAR speed network: images a second, and what the model says.

The data are the real ones where they are prepared, else noise of their shape and number, which
takes as long.
"""

import dataclasses
import importlib.util
import statistics
import time
from pathlib import Path

import jax
import numpy as np

from experiments import cifar10, lenet
from experiments.commands.command import UserError
from experiments.compiled_for.description import Description
from experiments.data import Dataset, Split, load
from experiments.data.split import Layout
from experiments.device.ahead import predicted
from experiments.device.budget import Budget
from experiments.training.programs import Programs
from experiments.training.recipe import Recipe
from experiments.training.zoo import make_model

MOST = 30  # epochs


@dataclasses.dataclass(frozen=True)
class Training:
    """What is trained.

    Attributes:
      title: as a person would call it.
      model, data: names of the network and the data set.
      recipe: of the experiment.
      shape: of an image.
      train, test: how many images there are.
    """

    title: str
    model: str
    data: str
    recipe: Recipe
    shape: tuple[int, int, int]
    train: int
    test: int


TRAININGS = (
    Training("LeNet-5", "lenet5", "mnist5k", lenet.RECIPE, (28, 28, 1), 4_000, 1_000),
    Training(
        "CIFAR speed network", "cifar-speed-net", "cifar10", cifar10.RECIPE, (32, 32, 3), 50_000,
        10_000,
    ),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Epochs:
    """What was measured of one training.

    Attributes:
      title: of it.
      data: name of the data, or what stood in for them.
      precision: of the network.
      batch_size: of a step.
      images: of an epoch.
      compile_seconds: of an epoch and the test.
      seconds: of each epoch but the first, of an empty tuple if time did not suffice.
      predicted: what the model says of an epoch's program; {} without a model.
    """

    title: str
    data: str
    precision: str
    batch_size: int
    images: int
    compile_seconds: float
    seconds: tuple[float, ...]
    predicted: dict

    @property
    def images_a_second(self) -> float | None:
        """By the median epoch."""
        return self.images / statistics.median(self.seconds) if self.seconds else None


def run(training: Training, images: int, model: Description | None, budget: Budget) -> Epochs:
    """Trains until the time is up, or for `MOST` epochs.

    Args:
      training: what.
      images: at most so many to train on; 0 for all.
      model: of the device; None for no prediction.
      budget: of this training.
    """
    dataset = data(training, images)
    size = min(training.recipe.batch_size, len(dataset.train))
    recipe = dataclasses.replace(training.recipe, batch_size=size)
    programs = Programs(
        make_model(training.model, dataset, recipe, training.shape), dataset, recipe
    )
    programs.compile()
    batches, key = programs.batches, programs.key(0)
    told = predicted(batches.compiled, model) if model else {}
    state, done, seconds = programs.initial_state(0), 0, []
    batches.start(0)
    while len(seconds) <= MOST and (budget.left or len(seconds) < 2):
        begun = time.perf_counter()
        state, done, _ = batches.advance(state, done, key)
        jax.block_until_ready(state)
        seconds.append(time.perf_counter() - begun)
    return Epochs(
        training.title, dataset.name, recipe.precision, size, batches.steps * size,
        programs.compile_seconds, tuple(seconds[1:]), told,
    )  # fmt: skip


def data(training: Training, images: int) -> Dataset:
    """The real data if they are there and all are wanted, else noise."""
    readers = map(importlib.util.find_spec, ("tensorflow_datasets", "array_record"))
    if not images and all(readers):
        try:
            return load(training.data)
        except UserError as error:
            print(f"{training.title}: noise in place of {training.data}: {error}")
    return noise(training, images or training.train)


def noise(training: Training, images: int) -> Dataset:
    """Bytes drawn at random, and classes likewise."""
    rng = np.random.default_rng(0)
    layout = Layout(training.data, Path("noise"), "image", "label", training.shape, False)

    def split(count: int) -> Split:
        drawn = rng.integers(0, 256, (count, *training.shape), np.uint8)
        labels = rng.integers(0, 10, count)
        return Split([{"image": i, "label": k} for i, k in zip(drawn, labels, strict=True)], layout)

    train, test = split(min(images, training.train)), split(min(images, training.test))
    classes = tuple(map(str, range(10)))
    name = f"noise in place of {training.data}"
    return Dataset(name, "classification", classes, training.shape, train, test)
