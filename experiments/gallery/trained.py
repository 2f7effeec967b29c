"""Pictures of a trained LeNet-5, and of how it learned."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import lenet
from experiments.data import load
from experiments.gallery.pictures import Picture, Section
from experiments.training.network import scale
from experiments.training.runs import Run, new_folder
from experiments.training.short import learn

Examples = tuple[np.ndarray, np.ndarray]
"""Images `(n, 28, 28, 1)`, bytes, and labels `(n,)`."""

_METHODS = (
    ("saliency", "Saliency: how much each pixel moves the logit, up or down.", "abs(dz/dx)"),
    (
        "smooth_grad",
        "SmoothGrad: the saliency averaged over noisy copies, which takes the speckle away.",
        "abs(mean over s of dz/dx at x + noise[s])",
    ),
    (
        "guided_backpropagation",
        "Guided backpropagation: at every ReLU passes what is positive both forward and back.",
        "through a ReLU: g * (x > 0) * (g > 0)",
    ),
    (
        "deconvnet",
        "Deconvnet: at every ReLU only what is positive on the way back passes.",
        "through a ReLU: g * (g > 0)",
    ),
    (
        "grad_cam",
        "Grad-CAM: which places of the last 5×5 maps speak for the class; coarse but about the "
        "class and not about edges.",
        "relu(sum over c of A[c] * mean of dz/dA[c])",
    ),
)

SECTION = Section(
    "A trained network",
    "LeNet-5, trained on 4,000 handwritten digits. z stands for the logit of the class that it "
    "takes the digit for.",
    (
        Picture(
            "learning_curves",
            "Loss and error rate after every epoch. The training images are shifted at random, "
            "the test images are not.",
            "visualize.learning_curves(epochs, losses, accuracies)",
        ),
        Picture(
            "finder",
            "Before training: the learning rate grows at every step. A good peak lies between the "
            "two marks, before the loss rises.",
            "visualize.learning_rate_finder(rates, rate_losses)",
        ),
        Picture(
            "histograms",
            "Activations after each ReLU while the network learns, from left to right: how many "
            "(colour) have which value (height). Below, the share of units that are silent.",
            "visualize.activation_histograms(counts, edges)",
        ),
        Picture(
            "kernels",
            "The first layer's six kernels: small detectors of strokes and edges.",
            "visualize.kernels(model.features.conv1.kernel)",
        ),
        Picture(
            "maps",
            "What every layer gives for one digit: from strokes to maps that no longer look like "
            "it.",
            "visualize.feature_maps(model.feature_maps(image))",
        ),
        Picture(
            "field_lenet",
            "What a unit of the last maps of this network sees: 16×16 pixels in theory, by two "
            "5×5 convolutions and two pools; the energy shows where it looks.",
            'visualize.receptive_field(model.features, images, title="LeNet-5")',
            "r = 1 + 4 + 1 + 2*4 + 2*1 = 16",
        ),
        *(
            Picture(method, caption, f"visualize.{method}(model, image)", formula)
            for method, caption, formula in _METHODS
        ),
        Picture(
            "confusion",
            "Which digit is taken for which: the diagonal is right.",
            "visualize.confusion_matrix(labels, probabilities.argmax(-1), "
            "class_names=list('0123456789'))",
        ),
        Picture(
            "misclassified",
            "The mistakes of which it is most certain.",
            "visualize.misclassified(pixels, labels, probabilities, most=16)",
        ),
    ),
)


def names(folder: Path, run: Path | None, epochs: int, data_dir: Path) -> dict[str, Any]:
    """What the calls of `SECTION` name: the network, the digits, and what was measured.

    Args:
      folder: of the gallery; a network trained for it has its run there.
      run: run folder of `experiments.lenet` to take; None trains one.
      epochs: passes over the training images of that one.
      data_dir: folder of the data sets.
    """
    if run is None:
        run = new_folder("lenet", folder)
        recipe = dataclasses.replace(lenet.RECIPE, epochs=epochs)
        lenet.train(lenet.Train(run=run, data_dir=data_dir, recipe=recipe))
    data = load(lenet.SUBJECT.data, data_dir=data_dir)
    examples = data.train.arrays()
    model, lines = lenet.trained(Run(run)), Run(run).metrics()
    pixels, labels = data.test.arrays()
    images = scale(pixels)
    probabilities = np.asarray(jax.nn.softmax(model(images)))
    known = np.flatnonzero(np.asarray(labels) == 3)
    clear = known[probabilities[known, 3].argmax()]
    curves = {
        kind: {
            split: [line.get(f"{split}_{kind}", math.nan) for line in lines]
            for split in ("train", "test")
        }
        for kind in ("loss", "accuracy")
    }
    edges = np.concatenate([[0.0, 0.01], np.linspace(0.1, 3, 30)])
    rates, rate_losses = sweep(examples)
    return dict(
        model=model,
        image=images[clear],
        images=images[:64],
        pixels=np.asarray(pixels),
        labels=np.asarray(labels),
        probabilities=probabilities,
        epochs=[line["epoch"] for line in lines],
        losses=curves["loss"],
        accuracies=curves["accuracy"],
        edges=edges,
        counts=histograms(examples, edges),
        rates=rates,
        rate_losses=rate_losses,
    )


def histograms(examples: Examples, edges: np.ndarray, steps: int = 120) -> dict[str, np.ndarray]:
    """Counts of the activations after each ReLU, at every step of a short training."""

    def watch(model, images):
        outputs = model.features.outputs(images)
        hidden = model.classifier.outputs(outputs["pool2"])
        watched = {"conv1": outputs["relu1"], "conv2": outputs["relu2"], "fc1": hidden["relu3"]}
        limits = jnp.asarray(edges, jnp.float32)
        return {name: jnp.histogram(array, limits)[0] for name, array in watched.items()}

    schedule = optax.cosine_onecycle_schedule(steps, 3e-3)
    return _learn(examples, optax.adamw(schedule), steps, watch=watch)[2]


def sweep(examples: Examples, steps: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Learning rates from 1e-5 to 1 and the loss at each."""
    rates = np.logspace(-5, 0, steps)
    grows = optax.exponential_decay(rates[0], 1, rates[1] / rates[0])
    return rates, _learn(examples, optax.adam(grows), steps)[1]


def _learn(examples: Examples, optimizer: optax.GradientTransformation, steps: int, **watched: Any):
    """A short training of a fresh network."""
    size = min(64, len(examples[0]))
    options = dict(steps=steps, batch_size=size, seed=1)
    return learn(lenet.network(), *examples, optimizer, **options, **watched)
