"""Trains any network on any data set.

    python -m experiments.train --data mnist5k --model simple-cnn     trains; a run folder in runs/
    python -m experiments.train --resume runs/...                     goes on with a run
    python -m experiments.train predict picture.png                   what the newest run sees in it
    python -m experiments.train find --data mnist5k --model vgg11     draws the loss over the rate

A resumed run ends with the same bits as one that was never stopped: all that is random in a step
follows from the seed and the step's number.
"""

from experiments.commands import command
from experiments.commands.command import extra

with extra("experiments", "matplotlib"):
    import dataclasses
    import sys
    from typing import Annotated

    import tyro

    from experiments.data.source import OWN_BUILDERS
    from experiments.training.finder import find_rate
    from experiments.training.predict import Predict
    from experiments.training.predict import predict as predict_files
    from experiments.training.recipe import Recipe
    from experiments.training.session import Place, Session, Subject, train
    from experiments.training.zoo import CLASSIFIERS, OF_SIGNALS, SEGMENTERS

SUBJECT = Subject(data="mnist5k", model="lenet5")
RECIPE = Recipe()
DATA_SETS = (
    f"Data set: {', '.join(OWN_BUILDERS)}, which need no network; any image set of "
    "tensorflow-datasets, for example cifar10; or mock:NAME, noise in its form."
)
MODELS = (
    f"Network: {', '.join(CLASSIFIERS)}; for signals {', '.join(OF_SIGNALS)}; for masks "
    f"{', '.join(SEGMENTERS)}."
)


@dataclasses.dataclass(frozen=True)
class Learner:
    """What is learned, and how."""

    data: Annotated[str, tyro.conf.arg(help=DATA_SETS)] = SUBJECT.data
    model: Annotated[str, tyro.conf.arg(help=MODELS)] = SUBJECT.model
    image_size: tuple[int, int] | None = None
    """Height and width that streamed images are brought to; their own when left out."""
    recipe: tyro.conf.OmitArgPrefixes[Recipe] = RECIPE


@dataclasses.dataclass(frozen=True)
class Train(Learner, Session):
    """Trains a network. To see which learning rate suits it: `find`."""


@dataclasses.dataclass(frozen=True)
class Find(Learner, Place):
    """Draws the loss over a learning rate that grows from step to step."""

    lowest: float = 1e-6
    """The rate of the first step."""
    highest: float = 1.0
    """The rate of the last step."""
    steps: int = 200
    """Steps from one to the other."""


def main(options: Train) -> None:
    """Trains one run a seed, or finishes the one to be resumed."""
    subject = Subject(options.data, options.model, options.image_size)
    train(options, subject, options.recipe, name="train")


def find(options: Find) -> None:
    """Writes rates.png and rates.json into the run folder, and prints the rates suggested."""
    subject = Subject(options.data, options.model, options.image_size)
    find_rate(options, subject, options.recipe, options.lowest, options.highest, options.steps)


def predict(options: Predict) -> int:
    """Prints a line a file; returns 2 if one could not be read, else 0."""
    return predict_files(options, "train")


if __name__ == "__main__":
    commands = {"train": (Train, main), "find": (Find, find), "predict": (Predict, predict)}
    took = {
        "train": "24 s, compiling included, for 30 epochs of LeNet-5",
        "find": "11 s of CPU for 200 steps of LeNet-5",
        "predict": "4 s of CPU",
    }
    sys.exit(command.run("python -m experiments.train", commands, took=took))
