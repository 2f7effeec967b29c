"""LeNet-5 reads handwritten digits: trains on `mnist5k`, and classifies image files.

    python -m experiments.lenet                       trains; a run folder of its own in runs/
    python -m experiments.lenet --resume runs/...     goes on with a run that was stopped
    python -m experiments.lenet predict digit.png     what the newest run takes an image for

The fixed split has 4,000 digits to train on and 1,000 to test with. A resumed run ends with the
same bits as one that was never stopped: all that is random in epoch e follows from (seed, e).
"""

from experiments import command
from experiments.command import UserError, extra, fail, require

with extra("experiments"):
    import dataclasses
    import sys
    from pathlib import Path

    import jax
    import numpy as np
    import optax
    import tyro
    from flax import nnx

    from experiments.checkpoints import Checkpoints
    from experiments.data import from_tfds, load_arrays
    from experiments.digits import read_digit
    from experiments.fitting import Data, Programs, fit
    from experiments.runs import Run, new_folder, newest
    from experiments.training import one_cycle, scale, split_model
    from jaxcnn.models import LeNet5


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What decides the result of a run."""

    epochs: int = 30
    """Passes over the training images."""
    batch_size: int = 50
    """Images in a step."""
    learning_rate: float = 3e-3
    """Peak of the one-cycle schedule, per step of AdamW."""
    weight_decay: float = 1e-2
    """Share of the parameters taken off, per step and unit of learning rate."""
    shift: int = 1
    """Largest random shift of a training image on each axis, in pixels."""
    label_smoothing: float = 0.1
    """Probability spread evenly over all classes in the target, 0 to 1."""
    seed: int = 0
    """Of the initial parameters, the order and the shifts."""

    def __post_init__(self):
        for name, holds, rule in (
            ("epochs", self.epochs >= 1, "must be 1 or more"),
            ("batch_size", self.batch_size >= 1, "must be 1 or more"),
            ("learning_rate", 0 < self.learning_rate < 1, "must be between 0 and 1"),
            ("weight_decay", 0 <= self.weight_decay < 1, "must be 0 or more and below 1"),
            ("shift", 0 <= self.shift < 14, "must be 0 to 13 pixels"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "must be 0 or more and below 1"),
            ("seed", 0 <= self.seed < 2**31, "must be 0 or more and below 2**31"),
        ):
            require(holds, name, getattr(self, name), rule)


@dataclasses.dataclass(frozen=True)
class Train:
    """Trains LeNet-5 to read handwritten digits. To classify images: `predict FILE...`."""

    recipe: tyro.conf.OmitArgPrefixes[Recipe] = Recipe()
    repeat: int = 1
    """Runs, with the seeds `seed`, `seed` + 1, ...; the mean and the spread are reported."""
    run: Path | None = None
    """Run folder to make; runs/lenet-DATE-TIME when left out."""
    resume: Path | None = None
    """Run folder to go on with; its own recipe holds."""
    data_dir: Path = Path("~/.cache/jaxcnn")
    """Folder of the data sets, prepared there when absent."""

    def __post_init__(self):
        require(self.repeat >= 1, "repeat", self.repeat, "must be 1 or more")
        if self.resume:
            require(self.repeat == 1, "repeat", self.repeat, "does not go with --resume")
            require(self.run is None, "run", self.run, "does not go with --resume")


@dataclasses.dataclass(frozen=True)
class Predict:
    """Says which digit each image shows, and how sure it is."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """PNG or JPEG images of one digit each: any size, dark on light or light on dark."""
    run: Path | None = None
    """Run folder to take the parameters from; the newest in runs/ when left out."""

    def __post_init__(self):
        require(bool(self.files), "files", "", "must name at least one image")


def train(options: Train) -> None:
    """Trains one run a seed, or finishes the one to be resumed."""
    recipes = recipes_of(options)
    recipe = recipes[0]  # the others differ in the seed
    data = Data(
        train=load_arrays(from_tfds("mnist5k", "train", options.data_dir)),
        test=load_arrays(from_tfds("mnist5k", "test", options.data_dir)),
    )
    images, tested = len(data.train[0]), len(data.test[0])
    print(f"data: mnist5k, {images:,} images to train on and {tested:,} to test with")
    rule = f"must be at most the {images:,} images to train on"
    require(recipe.batch_size <= images, "batch_size", recipe.batch_size, rule)
    runs = [Run(options.resume)] if options.resume else make_runs(options.run, recipes)

    steps = recipe.epochs * (images // recipe.batch_size)
    programs = Programs(
        make_model,
        optax.adamw(one_cycle(steps, recipe.learning_rate), weight_decay=recipe.weight_decay),
        data,
        batch_size=recipe.batch_size,
        shift=recipe.shift,
        label_smoothing=recipe.label_smoothing,
    )
    print(f"compile time {programs.compile_seconds:.1f} s", flush=True)

    accuracies = []
    for recipe, run in zip(recipes, runs, strict=True):
        print(f"seed {recipe.seed}, run folder {run.folder}", flush=True)
        accuracy = fit(
            programs,
            data,
            run,
            epochs=recipe.epochs,
            seed=recipe.seed,
            resume=options.resume is not None,
            again=f"python -m experiments.lenet --resume {run.folder}",
        )
        accuracies.append(accuracy)
    if len(accuracies) > 1:
        listed = " ".join(f"{100 * accuracy:.2f}" for accuracy in accuracies)
        print(
            f"{len(accuracies)} seeds: {listed} %, mean {100 * np.mean(accuracies):.2f} %, "
            f"standard deviation {100 * np.std(accuracies, ddof=1):.2f} points"
        )
    print(f"test accuracy {100 * np.mean(accuracies):.2f} %")


def recipes_of(options: Train) -> list[Recipe]:
    """One recipe a run; that of the run folder when resuming, which no option may contradict."""
    given = options.recipe
    if not options.resume:
        seeds = range(given.seed, given.seed + options.repeat)
        return [dataclasses.replace(given, seed=seed) for seed in seeds]
    try:
        saved = Recipe(**Run(options.resume).config())
    except TypeError as error:
        raise UserError(f"{options.resume} is of another experiment or version ({error})") from None
    for name, value in dataclasses.asdict(given).items():
        kept = getattr(saved, name)
        rule = f"cannot be changed in a run that is resumed, where it is {kept}; leave it out"
        require(value in (kept, getattr(Recipe(), name)), name, value, rule)
    return [saved]


def make_runs(folder: Path | None, recipes: list[Recipe]) -> list[Run]:
    """A new run folder for each recipe."""
    folder = folder or new_folder("lenet")
    several = len(recipes) > 1
    return [
        Run.create(
            folder.with_name(f"{folder.name}-seed{recipe.seed}") if several else folder,
            dataclasses.asdict(recipe),
        )
        for recipe in recipes
    ]


def make_model(rngs: nnx.Rngs) -> nnx.Module:
    """The network of this experiment."""
    return LeNet5(num_classes=10, rngs=rngs)


def predict(options: Predict) -> int:
    """Prints a line a file; returns 2 if one could not be read, else 0."""
    run = Run(options.run or newest("lenet"))
    graph, model = split_model(make_model(nnx.Rngs(0)))
    checkpoints = Checkpoints(run.checkpoints, read_only=True)
    _, items = checkpoints.restore_newest({"model": model})
    network = nnx.merge(graph, items["model"])
    code = 0
    for path in options.files:
        try:
            image = read_digit(path)
        except UserError as error:
            code = fail(str(error)).code
            continue
        probabilities = jax.nn.softmax(network(scale(image[None])))[0]
        digit = int(probabilities.argmax())
        print(f"{path}: {digit} ({float(probabilities[digit]):.2%})", flush=True)
    return code


if __name__ == "__main__":
    commands = {"train": (Train, train), "predict": (Predict, predict)}
    sys.exit(command.run("python -m experiments.lenet", commands))
