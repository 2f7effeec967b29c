"""LeNet-5 reads handwritten digits: trains on `mnist5k`, and classifies image files.

    python -m experiments.lenet                       trains; a run folder of its own in runs/
    python -m experiments.lenet --resume runs/...     goes on with a run that was stopped
    python -m experiments.lenet predict digit.png     what the newest run takes an image for

The fixed split has 4,000 digits to train on and 1,000 to test with. A resumed run ends with the
same bits as one that was never stopped: all that is random in a step follows from the seed and the
number of the step.
"""

from experiments.commands import command
from experiments.commands.command import extra

with extra("experiments", "matplotlib"):
    import dataclasses
    import sys
    from collections.abc import Callable

    import tyro
    from flax import nnx

    from experiments.training.augment import Augmentation
    from experiments.training.predict import Predict
    from experiments.training.predict import predict as predict_files
    from experiments.training.recipe import Recipe
    from experiments.training.restore import restore
    from experiments.training.runs import Run
    from experiments.training.session import Session, Subject, saved_subject
    from experiments.training.session import train as train_runs
    from experiments.training.zoo import build

SUBJECT = Subject(data="mnist5k", model="lenet5")
RECIPE = Recipe(
    epochs=30,
    batch_size=50,
    learning_rate=3e-3,
    weight_decay=1e-2,
    label_smoothing=0.1,
    augmentation=Augmentation(shift=1),
)


@dataclasses.dataclass(frozen=True)
class Train(Session):
    """Trains LeNet-5 to read handwritten digits. To classify images: `predict FILE...`."""

    recipe: tyro.conf.OmitArgPrefixes[Recipe] = RECIPE


def train(options: Train) -> None:
    """Trains one run a seed, or finishes the one to be resumed."""
    train_runs(options, SUBJECT, options.recipe, name="lenet")


def network(recipe: Recipe = RECIPE) -> Callable[[nnx.Rngs], nnx.Module]:
    """What makes the network of this experiment."""
    return build(SUBJECT.model, recipe, classes=10, image_shape=(28, 28, 1))


def trained(run: Run) -> nnx.Module:
    """The network of a run, built as it was trained."""
    _, recipe = saved_subject(run.folder)
    return restore(run, network(recipe))


def predict(options: Predict) -> int:
    """Prints a line a file; returns 2 if one could not be read, else 0."""
    return predict_files(options, "lenet")


if __name__ == "__main__":
    commands = {"train": (Train, train), "predict": (Predict, predict)}
    took = {"train": "24 s for 30 epochs", "predict": "4 s of CPU"}
    sys.exit(command.run("python -m experiments.lenet", commands, took=took))
