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
from experiments.commands import stopping
from experiments.commands.phases import phase
from experiments.data import load
from experiments.gallery import digit as own_digit
from experiments.gallery.items import Picture, Section
from experiments.training import session
from experiments.training.network import scale
from experiments.training.runs import Run, new_folder
from experiments.training.short import learn

Examples = tuple[np.ndarray, np.ndarray]
"""Images `(n, 28, 28, 1)`, bytes, and labels `(n,)`."""

_METHODS = (
    ("saliency", "Saliency: how much each pixel moves the logit, up or down.", "abs({dz}/{dx})"),
    (
        "smooth_grad",
        "SmoothGrad: the gradient averaged over noisy copies first; less of it is speckle.",
        "abs(mean_{s} {dz}/{dx}(x + noise[s]))",
    ),
    (
        "integrated_gradients",
        "Integrated gradients: the gradient averaged on the way from a black image to this one, "
        "times the pixel: its share of the logit, positive or negative.",
        "x * mean_{t} {dz}/{dx}(t*x)",
    ),
    (
        "guided_backpropagation",
        "Guided backpropagation: at every ReLU passes what is positive both forward and back.",
        "g * (x > 0) * (g > 0)",
    ),
    (
        "deconvnet",
        "Deconvnet: at every ReLU only what is positive on the way back passes.",
        "g * (g > 0)",
    ),
    (
        "grad_cam",
        "Grad-CAM: which places of the last 5×5 maps speak for the class, as coarse as those maps.",
        "ReLU(sum_{c} A[c] * mean_{i, j} {dz}/{dA[i, j, c]})",
    ),
    (
        "occlusion",
        "Occlusion: how much the logit falls where a patch of 8×8 pixels is covered.",
        "mean_{patches} (z(x) - z(x_without))",
    ),
)

_TEXT = (
    "LeNet-5, trained on 4,000 handwritten digits: two convolutions, each followed by a max pool, "
    "and three layers that are fully connected. z stands for the logit of the class that it takes "
    "the digit for, the number from which that class's probability is made."
)
PICTURES = (
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
        "(colour) have which value (height). The lowest bin holds those that are 0 and nothing "
        "else; below stands their share, of activations that are silent.",
        "visualize.activation_histograms(counts, edges)",
    ),
    Picture(
        "kernels",
        "The first layer's six kernels as they were learned: orange adds, violet takes away.",
        "visualize.kernels(model.features.conv1.kernel)",
    ),
    Picture(
        "maps",
        "What every layer gives for one digit: from strokes to maps that no longer look like it.",
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
)


def section(run: Path, folder: Path, data_dir: Path) -> Section:
    """The section of a run; the code before its calls says where they have their names from.

    Args:
      run: run folder of `experiments.lenet`.
      folder: of the gallery, from which a run inside is found.
      data_dir: folder of the data sets.
    """
    path = run.resolve()
    if path.is_relative_to(folder.resolve()):
        path = path.relative_to(folder.resolve())
    preamble = (
        "from pathlib import Path\nfrom experiments.gallery import trained\n\n"
        f"globals().update(trained.names(Path({str(path)!r}), Path({str(data_dir)!r})))"
    )
    return Section("A trained network", _TEXT, PICTURES, preamble=preamble)


def train(folder: Path, epochs: int, data_dir: Path) -> Path:
    """Trains LeNet-5 for the gallery in `folder`; returns its run folder."""
    run = new_folder("lenet", folder)
    recipe = dataclasses.replace(lenet.RECIPE, epochs=epochs)
    options = lenet.Train(run=run, data_dir=data_dir, recipe=recipe)
    again = "the same command, which trains anew"
    session.train(options, lenet.SUBJECT, recipe, name="lenet", again=again)
    stopping.tell(advice=f"go on with: python -m experiments.gallery --folder {folder} --run {run}")
    return run


def digit(names: dict[str, Any]) -> dict[str, Any]:
    """What the page needs to read a digit of the reader's own, of what `names` gives."""
    found = own_digit.examples(names["pixels"], np.asarray(names["labels"]), names["probabilities"])
    return {**own_digit.weights(names["model"]), "examples": found}


def names(run: Path, data_dir: Path) -> dict[str, Any]:
    """What the calls of `PICTURES` name: the network, the digits, and what was measured.

    Args:
      run: run folder of `experiments.lenet`.
      data_dir: folder of the data sets.
    """
    with phase("data", "reading the digits"):
        data = load(lenet.SUBJECT.data, data_dir=data_dir)
        examples, (pixels, labels) = data.train.arrays(), data.test.arrays()
    with phase("saving", "reading the trained network"):
        model, lines = lenet.trained(Run(run)), Run(run).metrics()
    images = scale(pixels)
    with phase("test", f"testing with {len(labels):,} images"):
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
    # The first bin holds what is 0: the next number of 32 bits is in the second.
    edges = np.concatenate([[0.0, np.finfo(np.float32).tiny], np.linspace(0.1, 3, 30)])
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
    title = "for the histograms"
    return _learn(examples, optax.adamw(schedule), steps, title=title, watch=watch)[2]


def sweep(examples: Examples, steps: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Learning rates from 1e-5 to 1 and the loss at each."""
    rates = np.logspace(-5, 0, steps)
    grows = optax.exponential_decay(rates[0], 1, rates[1] / rates[0])
    return rates, _learn(examples, optax.adam(grows), steps, title="for the finder")[1]


def _learn(examples: Examples, optimizer: optax.GradientTransformation, steps: int, **more: Any):
    """A short training of a fresh network."""
    size = min(64, len(examples[0]))
    options = dict(steps=steps, batch_size=size, seed=1)
    return learn(lenet.network(), *examples, optimizer, **options, **more)
