"""What the network of a run takes files for: images, pictures of a digit, signals."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx

from experiments.commands import output
from experiments.commands.command import UserError, fail, printable, require_known
from experiments.commands.phases import phase
from experiments.training.inputs import Inputs, saved_inputs
from experiments.training.network import scale
from experiments.training.restore import restore
from experiments.training.runs import Run, newest, writing
from experiments.training.session import saved_subject
from experiments.training.zoo import CLASSIFIERS, SEGMENTERS, build

_SURE = 0.5  # where a run does not say how sure its network was in the test
_NAMED = 3  # classes of a mask that are named


@dataclasses.dataclass(frozen=True)
class Predict:
    """Says what the network of a run takes each file for, and how sure it is."""

    files: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Images that Pillow reads; of one digit each, dark on light or light on dark, for a network
    that reads digits; signals as .npy or .csv."""
    run: Path | None = None
    """Run folder to take the parameters from; the newest in runs/ when left out."""
    output: Path = Path(".")
    """Folder for the pictures of what a segmentation network sees."""

    def __post_init__(self):
        if not self.files:
            raise UserError("predict: no file to look at; name some, as in: predict picture.png")


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network as it was trained, and what it takes."""

    model: nnx.Module
    inputs: Inputs

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Of every class, `(n, ..., classes)`, for images `(n, *image_shape)` of bytes.

        Raises:
          UserError: the network does not take them.
        """
        try:
            logits = self.model(scale(jnp.asarray(images)))  # pyright: ignore[reportCallIssue]
        except (TypeError, ValueError) as error:  # of a run folder that was changed
            shape = self.inputs.image_shape
            raise UserError(f"the network cannot see images {shape}: {error}") from error
        return np.asarray(jax.nn.softmax(logits.astype(jnp.float32)))


def trained(folder: Path) -> Trained:
    """The network of a run, from its newest checkpoint.

    Raises:
      UserError: it is no run folder, or has no whole checkpoint.
    """
    run = Run(folder)
    subject, recipe = saved_subject(folder)
    inputs = saved_inputs(run, subject.data, subject.image_size)
    shape, count = inputs.image_shape, len(inputs.classes)
    require_known("model", subject.model, [*CLASSIFIERS, *SEGMENTERS])
    with phase("build", f"building {subject.model}", brief=True):
        model = restore(run, build(subject.model, recipe, classes=count, image_shape=shape))
    return Trained(model, inputs)


def predict(options: Predict, experiment: str) -> int:
    """Prints a line a file; returns 2 if one could not be read, else 0."""
    with phase("import", "importing", brief=True):
        from experiments.data.prepare import prepare  # with SciPy, which no training waits for

    network = trained(options.run or newest(experiment))
    inputs, code = network.inputs, 0
    for path in options.files:
        try:
            with phase("test", f"looking at {printable(path.name)}", brief=True):
                image, doubts = prepare(path, inputs.form, inputs.image_shape)
                probabilities = network.probabilities(image[None])[0]
        except UserError as error:
            code = fail(str(error)).code
            continue
        if inputs.task == "segmentation":
            target = options.output / f"{path.stem}-mask.png"
            told = _told_mask(image, probabilities.argmax(-1), inputs.classes, target)
        else:
            told = describe(probabilities, inputs, doubts)
        output.say(f"{printable(str(path))}: {told}")
    return code


def describe(probabilities: np.ndarray, inputs: Inputs, doubts: list[str]) -> str:
    """The two best guesses, and a warning where the input looks like nothing that was learned."""
    best = probabilities.argsort()[::-1][:2]
    named = [f"{printable(inputs.classes[i])} ({probabilities[i]:.2%})" for i in best]
    told = named[0] + "".join(f", or {other}" for other in named[1:])
    reasons = doubtful(probabilities, inputs, doubts)
    return f"{told}; not to be trusted: {' and '.join(reasons)}" if reasons else told


def doubtful(probabilities: np.ndarray, inputs: Inputs, doubts: list[str]) -> list[str]:
    """Why not to trust a guess: what was seen in the picture, and how unsure the network is."""
    least = inputs.least_probability
    if probabilities.max() >= (_SURE if least is None else least):
        return doubts
    rarely = "" if least is None else ", as it was of 2% of what it was tested with"
    return [*doubts, f"the network is unsure{rarely}"]


def _told_mask(image: np.ndarray, mask: np.ndarray, names: tuple[str, ...], target: Path) -> str:
    """Draws the mask beside its image; the largest classes in words."""
    from experiments.training.pictures import mask_beside  # with Matplotlib

    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        mask_beside(image, mask, names).savefig(target, dpi=150, format="png")
    shares = np.bincount(mask.ravel(), minlength=len(names)) / mask.size
    largest = [i for i in shares.argsort()[::-1][:_NAMED] if shares[i]]
    told = ", ".join(f"{printable(names[i])} {shares[i]:.1%}" for i in largest)
    return f"{told}; drawn in {printable(str(target))}"
